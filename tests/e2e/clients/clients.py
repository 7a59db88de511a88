"""Real clients, and what became of what they reported."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

#: A configuration for requests that are sent again: on a busy machine, later than by
#: default a repeat may come.
LATE_REPEATS: Final = "dedup_window: 1h\n"

#: In the path of Python programs, it makes them wait as long as tests do.
PATIENT: Final = Path(__file__).parent / "programs" / "patient"

#: Made by `make test`.
CLIENTS: Final = Path(__file__).parents[3] / ".venv-clients" / "bin"


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a client, with *more* in it."""
    patience = {"PYTHONPATH": str(PATIENT), "PATIENCE": f"{PATIENCE:.0f}"}
    return {**os.environ, **patience, **more}


def run(
    *command: str | Path, ok: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the clients; it is to end well, unless *ok* is False."""
    program, *arguments = command
    done = subprocess.run(
        [str(CLIENTS / program), *map(str, arguments)],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done


#: For programs whose library sends in the background, some time after it was called.
WAIT_UNTIL: Final = """
import time, urllib.error, urllib.request

def wait_until(url, text):
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                if text in answer.read().decode():
                    return
        except urllib.error.HTTPError:  # not known yet
            pass
        time.sleep(0.05)
"""


def python(code: str, *arguments: str, ok: bool = True, **variables: str) -> str:
    """Run *code* where the clients are installed; return what it printed."""
    return run("python", "-c", code, *arguments, ok=ok, **variables).stdout


def curl(*arguments: str) -> str:
    """Have curl do as *arguments* say; return what it was answered, which is no error."""
    command = ["curl", "-fsS", "-m", f"{PATIENCE}", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def runs(daemon: Daemon, job: str) -> list[dict[str, Any]]:
    """Return the finished runs of *job*, the oldest first; none if it is unknown."""
    answer = daemon.get(f"/api/v1/jobs/{job}/runs")
    return [] if answer.status == 404 else answer.json()["runs"][::-1]


def jobs(daemon: Daemon) -> dict[str, int]:
    """Return how many runs each job has open."""
    found = daemon.get("/api/v1/jobs").json()["jobs"]
    return {job["name"]: job["running"] for job in found}
