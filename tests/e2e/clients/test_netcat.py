"""Programs that send bytes and close their sending half at once."""

from __future__ import annotations

import subprocess
from typing import Final

import pytest

from tests.e2e.clients.clients import runs
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

PROGRAMS: Final = {
    "ncat": ("ncat", "{host}", "{port}"),
    "socat": ("socat", "-t", f"{PATIENCE:.0f}", "-", "TCP:{host}:{port}"),
    "busybox": ("busybox", "nc", "{host}", "{port}"),
}
BODY: Final = '{"status": "fail", "exit_code": 3}'
PATHS: Final = {"/ping/nightly": '"outcome": "fail"', "/ping/KEY/nightly/fail": "OK"}


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_it_is_answered(
    daemon: Daemon, program: tuple[str, ...], path: str, end: str
) -> None:
    host, _, port = daemon.url.removeprefix("http://").partition(":")
    command = [word.format(host=host, port=port) for word in program]
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(BODY)}"]

    answer = subprocess.run(
        command,
        input=end.join([*lines, "", BODY]).encode(),
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    ).stdout.decode()

    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert PATHS[path] in answer
    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "fail"
