"""A rule tried out on a real daemon, made part of its configuration, and found right."""

from __future__ import annotations

import json
import subprocess

from tests.e2e.daemon.conftest import MakeDaemon
from tests.e2e.daemon.daemon import AFTERRUN, Daemon, Ended

CONFIG = "jobs: {{ingest: {{every: 1h, rules: [{rule}]}}}}"

#: Of a week of nights, two of which went wrong and one was not noticed.
ROWS = (120, 110, 0, 130, 12, 125, 118)


def backtest(daemon: Daemon, *arguments: str) -> Ended:
    """Run the command as a person does, next to the daemon."""
    command = [str(AFTERRUN), "backtest", "--url", daemon.url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def report(daemon: Daemon, night: int, rows: int) -> str:
    """Report the run of a night, as its own report says when it ended."""
    ended = f"2026-11-{10 + night}T02:00:00Z"
    body = {"metrics": {"rows_processed": rows}, "ended_at": ended}
    outcome: str = daemon.post("/ping/ingest", body).json()["outcome"]
    return outcome


def test_a_rule_does_what_it_was_tried_for(make_daemon: MakeDaemon) -> None:
    """What it would have flagged is what it flags, also after a restart."""
    daemon = make_daemon()
    daemon.configure(CONFIG.format(rule="rows_processed > 0"))
    daemon.start()
    outcomes = [report(daemon, night, rows) for night, rows in enumerate(ROWS)]
    assert outcomes.count("violated") == 1
    daemon.stop()
    daemon.start()

    rule = "rows_processed >= 0.5 * previous"
    tried = backtest(daemon, "--job", "ingest", "--rule", rule)

    assert tried.code == 0, tried.stderr
    headline, *lines = tried.stdout.splitlines()
    assert headline == (
        "ingest: 2 of 7 runs would be flagged, 1 was: 1 newly, 0 no longer"
    )
    assert lines[-1].endswith(f"newly flagged  {rule}     12  >= 65 (0.5 * previous)")

    daemon.configure(CONFIG.format(rule=rule))
    file = ("--config.file", str(daemon.config), "--fail-on-change")
    before = backtest(daemon, *file, "--json")
    assert before.code == 3
    answer = json.loads(before.stdout)["jobs"][0]
    assert answer["changes"]["newly_flagged"] == 1

    assert daemon.post("/-/reload").status == 200
    assert report(daemon, 7, 12) == "violated"
    after = json.loads(backtest(daemon, *file, "--json").stdout)["jobs"][0]
    assert after["changes"]["flagged_by_both"] == 2
    assert after["would_flag"] == 3
