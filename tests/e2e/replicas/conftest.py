"""Replicas that end with their test, and chance that can be repeated."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.replicas.replica import Replicas

MakeReplicas = Callable[..., Replicas]


@pytest.fixture
def make_replicas(tmp_path: Path) -> Iterator[MakeReplicas]:
    """Return a function that makes replicas, which it does not start."""
    groups: list[Replicas] = []

    def make(storage: str | Sequence[str], number: int = 2) -> Replicas:
        groups.append(Replicas(tmp_path, storage, number))
        return groups[-1]

    yield make
    for replicas in groups:
        replicas.kill()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance; a test that fails says how to have the same again."""
    seed = os.environ.get("AFTERRUN_TEST_SEED") or str(random.getrandbits(32))
    request.node.add_report_section("setup", "chance", f"AFTERRUN_TEST_SEED={seed}")
    return random.Random(seed)
