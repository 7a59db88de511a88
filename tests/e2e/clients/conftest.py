"""A daemon that real clients report to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has been started."""
    daemon = Daemon(tmp_path)
    daemon.start()
    yield daemon
    daemon.kill()
