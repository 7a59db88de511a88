"""A daemon that real clients report to, and where they are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import Daemon

#: Made by `make test`.
CLIENTS = Path(__file__).parents[3] / ".venv-clients" / "bin"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has been started."""
    daemon = Daemon(tmp_path)
    daemon.start()
    yield daemon
    daemon.kill()
