"""A daemon that real clients report to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients.clients import LATE_REPEATS
from tests.e2e.daemon.daemon import Daemon
from tests.e2e.replicas.as_one import daemon_or_replicas


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon that has been started."""
    daemon = daemon_or_replicas(tmp_path, request)
    daemon.configure(LATE_REPEATS)
    daemon.start()
    yield daemon
    daemon.kill()
