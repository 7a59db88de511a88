"""`afterrun ping`: a report by hand, and what is made of it."""

from __future__ import annotations

from tests.e2e.client.conftest import Cron
from tests.e2e.client.records import only_run
from tests.e2e.daemon.daemon import Daemon

RULES = "jobs: {backup: {rules: [rows_processed > 0]}}\nunknown_jobs: reject\n"


def test_the_verdict_is_a_line(daemon: Daemon, cron: Cron) -> None:
    daemon.configure(RULES)
    daemon.start()
    broken = "backup: violated: rows_processed > 0 (0)"

    for number, (arguments, code, said) in enumerate(
        (
            (["--metric", "rows_processed=3"], 0, "backup: ok"),
            (["--metric", "rows_processed=0"], 0, broken),
            (["--fail-on-violation", "--metric", "rows_processed=0"], 3, broken),
            (["--exit-code", "4"], 0, "backup: fail"),
            (["--status", "partial"], 0, "backup: partial"),
            (["--status", "start"], 0, "backup: start recorded"),
        )
    ):
        done = cron.run("ping", "backup", "--run-id", f"run-{number}", *arguments)
        assert (done.code, done.stdout.decode()) == (code, f"{said}\n")


def test_a_refused_report_is_told(daemon: Daemon, cron: Cron) -> None:
    daemon.configure(RULES)
    daemon.start()

    done = cron.run("ping", "bakcup")

    assert (done.code, done.stdout) == (1, b"")
    assert "unknown job 'bakcup'" in done.stderr


def test_all_of_a_report_can_be_given(daemon: Daemon, cron: Cron) -> None:
    daemon.start()

    cron.run("ping", "backup", "--status", "start", "--run-id", "a")
    arguments = ["--duration", "1m30s", "--exit-code", "2", "--message", "-"]
    more = ["--run-id", "a", "--metadata", "host=db1"]
    cron.run("ping", "backup", *arguments, *more, stdin=b"no space left\n")
    again = cron.run("ping", "backup", *arguments, *more, stdin=b"no space left\n")

    run = only_run(daemon, "backup")
    assert (run["outcome"], run["exit_code"], run["duration"]) == ("fail", 2, 90)
    assert run["message"] == "no space left"
    assert run["metadata"] == {"host": "db1"}
    assert again.stdout == b"backup: fail (recorded before)\n"


def test_an_end_without_a_run_id_ends_what_started_without_one(
    daemon: Daemon, cron: Cron
) -> None:
    daemon.start()

    cron.run("ping", "backup", "--status", "start")
    cron.run("ping", "backup")

    assert only_run(daemon, "backup")["duration"] is not None
    assert daemon.get("/api/v1/jobs/backup").json()["running"] == 0


def test_a_report_waits_unless_it_may_not(cron: Cron) -> None:
    kept = cron.run("ping", "backup", "--patience", "300ms")
    lost = cron.run("ping", "backup", "--patience", "300ms", "--no-spool")

    assert (kept.code, lost.code) == (0, 1)
    assert "this report is lost" in lost.stderr
    assert len(cron.waiting()) == 1
