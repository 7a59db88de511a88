"""A daemon that real clients report to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import Daemon
from tests.e2e.replicas.as_one import AsOne
from tests.postgres import Database


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon that has been started; or replicas, so many as `make replicas` wants."""
    daemon = Daemon(tmp_path)
    if replicas := int(os.environ.get("AFTERRUN_TEST_REPLICAS", "0")):
        database: Database = request.getfixturevalue("postgres")
        daemon = AsOne(tmp_path, database, replicas)
    daemon.start()
    yield daemon
    daemon.kill()
