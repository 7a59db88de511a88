"""What the systemd unit lets the daemon do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

UNIT: Final = Path(__file__).parents[2] / "deploy/afterrun.service"
KEY: Final = "SystemCallFilter="


def calls(name: str) -> Iterator[str]:
    """Yield the system calls of the set *name*, or *name* if it is one call."""
    if not name.startswith("@"):
        yield name
        return
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", name],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines()[1:]:
        if (call := line.strip()) and not call.startswith("#"):
            yield from calls(call)


@pytest.fixture(scope="module")
def allowed() -> set[str]:
    """Return the system calls that remain after each filter, in turn."""
    allowed: set[str] = set()
    for line in UNIT.read_text("utf-8").splitlines():
        if line.startswith(KEY):
            names = line.removeprefix(KEY).removeprefix("~").split()
            of_line = {call for name in names for call in calls(name)}
            is_denied = line.startswith(f"{KEY}~")
            allowed = allowed - of_line if is_denied else allowed | of_line
    return allowed


@pytest.mark.parametrize("call", ["prlimit64", "setpriority"])
def test_a_check_may_limit_itself(allowed: set[str], call: str) -> None:
    """Its CPU time and memory, and its priority."""
    assert call in allowed


@pytest.mark.parametrize("call", ["setuid", "reboot", "mount", "ptrace", "setrlimit"])
def test_what_the_daemon_does_not_need_is_denied(allowed: set[str], call: str) -> None:
    assert call not in allowed
