"""curl, as Healthchecks advises to call it, where answers get lost; and our own forms."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.clients.clients import jobs, runs
from tests.e2e.clients.dropping import BAD_GATEWAY, DroppingProxy
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

LIMIT = f"{PATIENCE:.0f}"
CURL = ("curl", "-fsS", "-m", LIMIT, "--retry", "5", "--retry-connrefused")


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
    # The daemon of a busy machine may need more than the half minute of five retries.
    patient = ("--retry", LIMIT, "--retry-delay", "1")
    command = [*CURL, *patient, f"{daemon.url}/ping/a-key/nightly"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        daemon.start()
        told, _ = curl.communicate(timeout=PATIENCE)

    assert (curl.returncode, told) == (0, "OK")
    assert [run["outcome"] for run in runs(daemon, "nightly")] == ["ok"]


#: What a crontab says, and the outcome that comes of it.
SCRIPTS = (
    ("false; curl -sS $U -d rows=5 -d exit_code=$?", "fail"),
    ("true; curl -sS $U -d rows=5 -d exit_code=$?", "ok"),
    ("ROWS=; curl -sS $U -d rows=$ROWS -d exit_code=$?", "ok"),
    ("curl -sS $U -d status=$NOTHING", "invalid"),
    ("curl -sS $U -d '{\"status\": \"fail\"}'", "fail"),
    ("curl -sS $U -d '{\"rows\": '$NOTHING', \"status\": \"fail\"}'", "invalid"),
    ("curl -sS $U -F rows=5 -F exit_code=3 -F log=@LOG", "fail"),
    ("curl -sS $U -F rows=5 -F 'log=<LOG'", "ok"),
    ("curl -sS $U --data-urlencode 'error=no space = left' -d rows=5", "fail"),
    ("curl -sS $U -G -d exit_code=3 -d rows=5", "fail"),
    ('curl -sS "$U?status=fail"', "fail"),
    ('curl -sS -I "$U?exit_code=1"', "fail"),
    ("curl -sS $U -H 'Content-Type: text/plain' --data-binary @LOG", "ok"),
    ("curl -sS $U --data-binary @LOG", "invalid"),
    (r"""printf '{"status":"fail","message":"\344"}' | curl -sS $U -d @-""", "fail"),
)  # fmt: skip


def test_a_shell_reports_without_quoting_json(daemon: Daemon, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"copied\nerror: disk full\n")
    outcomes = []
    for number, (script, _) in enumerate(SCRIPTS):
        url = f"{daemon.url}/ping/script-{number}"
        subprocess.run(["curl", "-sS", f"{url}?run_id=first"], check=True)
        shell = f"U={url}; {script.replace('LOG', str(log))}"
        subprocess.run(["sh", "-c", shell], check=True, capture_output=True)
        outcomes.append(runs(daemon, f"script-{number}")[-1]["outcome"])

    assert outcomes == [outcome for _, outcome in SCRIPTS]
