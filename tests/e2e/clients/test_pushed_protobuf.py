"""Go's client_golang pushes protobuf to us as to a Pushgateway: its own example."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.clients.clients import runs
from tests.e2e.daemon.daemon import Daemon

PROGRAM: Final = Path(__file__).parent / "go" / "push.go"
#: Where Debian has the sources, in golang-github-prometheus-client-golang-dev.
SOURCES: Final = Path("/usr/share/gocode")
LIBRARY: Final = SOURCES / "src/github.com/prometheus/client_golang/prometheus/push"


@pytest.fixture
def notifier(tmp_path: Path) -> Path:
    """The example, compiled. tests/dialects/test_protobuf.py has what it pushes."""
    if not (shutil.which("go") and LIBRARY.is_dir()):
        pytest.skip("Go or client_golang is not installed")
    program = tmp_path / "push"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(SOURCES)}
    subprocess.run(["go", "build", "-o", program, PROGRAM], env=environment, check=True)
    return program


def test_the_example_of_go_fails_and_succeeds(daemon: Daemon, notifier: Path) -> None:
    for arguments in ([], ["fail"], []):
        subprocess.run([notifier, daemon.url, *arguments], check=True)

    found = runs(daemon, "db_backup")
    assert [run["outcome"] for run in found] == ["ok", "fail", "ok"]
    assert found[0]["metrics"]["db_backup_records_processed"] == 42
    assert not [one for one in found[0]["metrics"] if one.startswith("go_")]
    # It adds 1.5 s to what it measures.
    assert 1.5 <= found[0]["duration"] < 120
