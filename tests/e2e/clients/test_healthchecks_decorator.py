"""healthchecks-decorator, around functions that do well and that fail."""

from __future__ import annotations

import subprocess

from tests.e2e.clients.clients import CLIENTS, environment, jobs, runs
from tests.e2e.daemon.daemon import Daemon

PROGRAM = """
import sys
from healthchecks_decorator import healthcheck

@healthcheck(url=sys.argv[1], send_start=True, send_diagnostics=True)
def work():
    {body}

work()
"""


def decorated(daemon: Daemon, body: str) -> int:
    """Run a function with this *body*; return the program's exit status."""
    url = f"{daemon.url}/ping/a-key/nightly?create=1"
    program = PROGRAM.format(body=body)
    done = subprocess.run(
        [CLIENTS / "python", "-c", program, url],
        env=environment(),
        capture_output=True,
        check=False,
    )
    return done.returncode


def test_a_returned_dict_becomes_metrics(daemon: Daemon) -> None:
    assert decorated(daemon, "return {'rows_processed': 42, 'bytes': 10}") == 0

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "ok"
    assert run["metrics"] == {"rows_processed": 42, "bytes": 10}
    assert 0 <= run["duration"] < 120
    assert jobs(daemon) == {"nightly": 0}


def test_an_exception_is_a_failure(daemon: Daemon) -> None:
    assert decorated(daemon, "raise ValueError") == 1

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "fail"
    assert run["duration"] is not None
    assert jobs(daemon) == {"nightly": 0}
