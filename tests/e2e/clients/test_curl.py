"""curl, as Healthchecks advises to call it, where answers get lost."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.clients.clients import PATIENCE, jobs, runs
from tests.e2e.clients.dropping import BAD_GATEWAY, DroppingProxy
from tests.e2e.daemon.daemon import Daemon

CURL = ("curl", "-fsS", "-m", "10", "--retry", "5", "--retry-connrefused")


@pytest.mark.parametrize(
    ("flags", "instead"),
    [
        ((), BAD_GATEWAY),
        # Without the flag curl takes a connection that just ends for final.
        (("--retry-all-errors",), None),
    ],
)
@pytest.mark.parametrize(("signal", "outcome"), [("", "ok"), ("/3", "fail")])
def test_a_ping_that_is_sent_again_is_one_run(
    daemon: Daemon,
    flags: tuple[str, ...],
    instead: int | None,
    signal: str,
    outcome: str,
) -> None:
    with DroppingProxy(daemon, 2, instead) as proxy:
        url = f"{proxy.url}/ping/a-key/nightly{signal}"
        command = [*CURL, *flags, "--data-raw", "42 rows", url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (done.stdout, proxy.forwarded) == ("OK", 3)
    (run,) = runs(daemon, "nightly")
    assert (run["outcome"], run["message"]) == (outcome, "42 rows")
    assert jobs(daemon) == {"nightly": 0}


def test_a_ping_waits_for_a_daemon_that_is_just_starting(daemon: Daemon) -> None:
    daemon.kill()
    command = [*CURL, f"{daemon.url}/ping/a-key/nightly"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        daemon.start()
        told, _ = curl.communicate(timeout=PATIENCE)

    assert (curl.returncode, told) == (0, "OK")
    assert [run["outcome"] for run in runs(daemon, "nightly")] == ["ok"]
