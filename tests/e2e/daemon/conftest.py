"""Daemons that end with their test, and chance that can be repeated."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import Daemon

MakeDaemon = Callable[..., Daemon]


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Return a function that makes daemons, each in a folder of its own."""
    made: list[Daemon] = []

    def make(database: Path | None = None, logs: Path | None = None) -> Daemon:
        folder = tmp_path / f"daemon-{len(made)}"
        folder.mkdir()
        made.append(Daemon(folder, database, logs))
        return made[-1]

    yield make
    for daemon in made:
        daemon.kill()


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> Daemon:
    """A daemon that has not been started yet."""
    return make_daemon()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance; a test that fails says how to have the same again."""
    seed = os.environ.get("AFTERRUN_TEST_SEED") or str(random.getrandbits(32))
    request.node.add_report_section("setup", "chance", f"AFTERRUN_TEST_SEED={seed}")
    return random.Random(seed)
