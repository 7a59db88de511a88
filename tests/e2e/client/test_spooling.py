"""No report is lost, and no job is hurt, whatever is wrong on the way to the daemon."""

from __future__ import annotations

import signal
import stat
import time
from pathlib import Path
from threading import Thread

import pytest

from afterrun_exporter.client.reports import Report
from afterrun_exporter.client.spool import Spool
from tests.e2e.client.conftest import UNTIL_FINISHED, Cron
from tests.e2e.client.odd import (
    Act,
    forbidding,
    forgetful,
    hang_up,
    odd,
    slow,
    stranger,
    unavailable,
)
from tests.e2e.client.records import alerts, instant, only_run, runs, total
from tests.e2e.clients.dropping import DroppingProxy
from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.patience import PATIENCE

#: Long enough for several attempts, and only for reports that cannot be delivered.
IMPATIENT = ["--patience", "1500ms"]

SCHEDULED = """\
jobs:
  backup: {every: 2s, grace: 1h, max_runtime: 1h, rules: [rows > 0]}
"""

#: A daemon that judges its own downtime so long after its start. It alerts also when the
#: next run was due before that.
SETTLING = """\
settle: {settle}
jobs:
  backup: {{every: 18s, grace: 18s, on_downtime: alert}}
"""


def test_runs_while_the_daemon_is_down_are_there_when_it_is_up(
    daemon: Daemon, cron: Cron
) -> None:
    """Three of them, with their own times, and no alert about what lay between."""
    daemon.configure(SCHEDULED)
    daemon.start()
    cron.exec("backup", ["--metric", "rows=0"], "true")
    daemon.stop()
    spans: list[tuple[float, float]] = []
    for number in (1, 2, 3):
        began = time.time()
        command = ("sh", "-c", f"sleep 0.{number}; exit 0")
        options = [*IMPATIENT, "--metric", f"rows={number}"]
        assert cron.exec("backup", options, *command).code == 0
        spans.append((began, time.time()))
    # The start of a run may be there, too, if exec was too slow to remove it.
    assert len(cron.kept()) == 3

    daemon.start()
    done = cron.exec("backup", ["--metric", "rows=4"], "true")

    _, *late, last = runs(daemon, "backup")
    assert done.code == 0
    assert not cron.waiting()
    assert [run["metrics"]["rows"] for run in (*late, last)] == [1, 2, 3, 4]
    for number, run, (began, ended) in zip((1, 2, 3), late, spans, strict=True):
        assert began - 1 <= instant(run["started_at"])
        assert instant(run["finished_at"]) <= ended + 1
        assert number / 10 <= run["duration"] < ended - began
        assert instant(run["received_at"]) > ended - 1
    assert {run["outcome"] for run in late} == {"ok"}
    assert total(daemon, "missed_runs", "backup") == 0
    assert total(daemon, "duplicate_pings", "backup") == 0
    assert alerts(daemon) == ["violated"]  # of the run before
    assert daemon.get("/api/v1/jobs/backup").json()["running"] == 0


def test_no_run_is_missed_that_was_only_told_late(daemon: Daemon, cron: Cron) -> None:
    """The alert that comes is about the slot after the last of them."""
    # However late the reports come, it has not judged its downtime yet.
    daemon.configure(SETTLING.format(settle="1h"))
    daemon.start()
    cron.exec("backup", [], "true")
    daemon.stop()
    for _ in range(3):
        assert cron.exec("backup", ["--patience", "100ms"], "sleep", "2").code == 0
    daemon.start()

    assert cron.run("spool", "flush").code == 0
    assert not alerts(daemon)
    daemon.stop()
    daemon.configure(SETTLING.format(settle="1s"))
    daemon.start()

    wait_until(lambda: bool(alerts(daemon)), "the next run is missed")
    (alert,) = daemon.get("/api/v1/alerts").json()["alerts"]
    last = instant(runs(daemon, "backup")[-1]["finished_at"])
    assert alert["kind"] == "missed"
    # Without the reports the next run would have been due earlier.
    assert instant(alert["opened_at"]) >= last + 18 + 18


def test_a_run_whose_start_alone_was_lost_is_one_run(
    daemon: Daemon, cron: Cron
) -> None:
    """The daemon comes up while it goes on."""
    began = time.monotonic()
    running = cron.start("exec", "backup", "--", *UNTIL_FINISHED)
    wait_until(cron.keeps_the_start, "the start could not be reported")
    runs_by_now = time.monotonic()
    daemon.start()

    lasted = time.monotonic() - runs_by_now
    cron.finish_command()
    running.communicate(timeout=PATIENCE)

    run = only_run(daemon, "backup")
    assert lasted <= run["duration"] < time.monotonic() - began
    assert not cron.waiting()


def test_a_run_whose_end_alone_was_lost_is_one_run(daemon: Daemon, cron: Cron) -> None:
    """The daemon goes down while it goes on."""
    daemon.start()
    began = time.monotonic()
    running = cron.start("exec", "backup", "--", *UNTIL_FINISHED)
    wait_until(
        lambda: daemon.series().get(("afterrun_job_running", "backup")) == 1,
        "the start is reported",
    )
    runs_by_now = time.monotonic()
    daemon.stop()
    lasted = time.monotonic() - runs_by_now
    cron.finish_command()
    wait_until(cron.keeps_the_end, "the end of the run is in the spool")
    running.terminate()
    running.communicate(timeout=PATIENCE)
    took = time.monotonic() - began

    daemon.start()
    done = cron.run("spool", "flush")

    assert (done.code, done.stdout) == (0, b"1 report delivered, 0 refused\n")
    assert lasted <= only_run(daemon, "backup")["duration"] < took
    assert daemon.get("/api/v1/jobs/backup").json()["running"] == 0


@pytest.mark.parametrize("act", [unavailable, hang_up, slow, stranger, forbidding])
def test_a_report_that_is_not_taken_waits(daemon: Daemon, cron: Cron, act: Act) -> None:
    """The job has its exit status all the same."""
    with odd(act) as server:
        options = ["--url", server.url, *IMPATIENT]
        done = cron.exec("backup", options, "sh", "-c", "exit 3")
    daemon.start()
    flushed = cron.run("spool", "flush", "--all")

    assert done.code == 3
    assert "waits in" in done.stderr
    assert flushed.code == 0
    assert only_run(daemon, "backup")["exit_code"] == 3


def test_a_daemon_nobody_knows_is_no_reason_not_to_run(cron: Cron) -> None:
    for url in ("http://afterrun.invalid:1", "localhost:10707", "http://[x", "ä://\n"):
        done = cron.exec("backup", ["--url", url, *IMPATIENT], "echo", "ran")

        assert (done.code, done.stdout) == (0, b"ran\n"), url
    assert len(cron.kept()) == 4


def test_a_report_whose_answer_was_lost_is_recognised(
    daemon: Daemon, cron: Cron
) -> None:
    """It was recorded, and is sent again: it counts once."""
    daemon.start()
    with odd(forgetful(daemon.url, 3)) as server:
        cron.exec("backup", ["--url", server.url], "true")
        cron.run("ping", "sync", "--url", server.url)

    assert only_run(daemon, "backup")["outcome"] == "ok"
    assert only_run(daemon, "sync")["outcome"] == "ok"
    assert not cron.waiting()


def test_a_report_is_safe_before_it_is_sent(daemon: Daemon, cron: Cron) -> None:
    """Killed in the middle of it, exec has lost nothing."""
    with odd(slow) as server:
        running = cron.start("exec", "backup", "--url", server.url, "--", "true")
        wait_until(cron.keeps_the_end, "the end of the run is in the spool")
        running.kill()
        running.communicate()

    daemon.start()
    cron.run("spool", "flush", "--all", "--quiet")

    assert only_run(daemon, "backup")["outcome"] == "ok"


def test_a_stop_does_not_wait_for_the_daemon(cron: Cron) -> None:
    """Asked to end, exec leaves the report to the next run."""
    options = ("--patience", "1h")
    running = cron.start(
        "exec", "backup", *options, "--", "sh", "-c", "echo $$; exit 4"
    )
    wait_until(cron.keeps_the_end, "the end of the run is in the spool")

    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=PATIENCE)

    assert running.returncode == 4


@pytest.mark.parametrize("in_the_way", ["a file", "a folder nobody may write"])
def test_a_spool_that_cannot_be_written_hurts_no_job(
    daemon: Daemon, cron: Cron, in_the_way: str
) -> None:
    """The report is told where cron can see it; with a daemon it is not missed."""
    if in_the_way == "a file":
        cron.spool.write_text("")
    else:
        cron.environ["AFTERRUN_SPOOL"] = "/proc/afterrun-spool"

    down = cron.exec("backup", IMPATIENT, "sh", "-c", "echo fine; exit 3")
    daemon.start()
    up = cron.exec("backup", [], "sh", "-c", "exit 4")

    assert (down.code, down.stdout) == (3, b"fine\n")
    assert "cannot write to the spool" in down.stderr
    assert 'this report is lost: {"job": "backup", "status": "fail"' in down.stderr
    assert up.code == 4
    assert only_run(daemon, "backup")["exit_code"] == 4


def test_a_refused_report_is_put_aside_and_blocks_no_other(
    daemon: Daemon, cron: Cron
) -> None:
    for job in ("good", "bad job", "better"):
        assert cron.run("ping", job, *IMPATIENT).code == 0
    daemon.start()

    flushed = cron.run("spool", "flush")
    direct = cron.exec("worse job", [], "sh", "-c", "exit 6")

    assert flushed.code == 1
    assert flushed.stdout == b"2 reports delivered, 1 refused\n"
    assert "'bad job' cannot be the name of a job" in flushed.stderr
    assert direct.code == 6
    assert direct.stderr.count("was refused") == 1
    assert len(list((cron.spool / "rejected").iterdir())) == 2
    assert not cron.waiting()
    assert only_run(daemon, "good")["outcome"] == "ok"
    assert only_run(daemon, "better")["outcome"] == "ok"


def test_two_flushes_at_once_send_nothing_twice(daemon: Daemon, cron: Cron) -> None:
    for number in range(30):
        cron.run("ping", f"job-{number}", "--patience", "100ms")
    daemon.start()

    flushes = [Thread(target=cron.run, args=("spool", "flush")) for _ in range(4)]
    for one in flushes:
        one.start()
    for one in flushes:
        one.join()

    assert not cron.waiting()
    for number in range(30):
        assert total(daemon, "runs", f"job-{number}") == 1
        assert total(daemon, "duplicate_pings", f"job-{number}") == 0


def test_what_waits_is_listed_and_private(daemon: Daemon, cron: Cron) -> None:
    """Messages may say what is nobody else's business."""
    cron.run("ping", "backup", "--status", "fail", *IMPATIENT)

    (report,) = cron.waiting()
    listed = cron.run("spool", "list")

    assert mode(report) == 0o600
    assert mode(cron.spool) == 0o700
    assert listed.stdout.decode() == f"{report.name}  {daemon.url}  backup  fail\n"


def test_where_nothing_waits_that_is_said(cron: Cron) -> None:
    listed = cron.run("spool", "list")

    assert listed.stdout == b""
    assert listed.stderr == f"afterrun: no reports in {cron.spool}\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_reports_for_another_daemon_are_left_alone(daemon: Daemon, cron: Cron) -> None:
    cron.run("ping", "backup", "--url", "http://127.0.0.1:9", *IMPATIENT)
    daemon.start()

    own = cron.run("spool", "flush")
    everything = cron.run("spool", "flush", "--all")

    assert own.stdout == b"0 reports delivered, 0 refused\n"
    assert "1 report waits for a daemon at another URL" in own.stderr
    assert everything.stdout == b"1 report delivered, 0 refused\n"


def test_a_full_disk_is_no_reason_not_to_run(cron: Cron) -> None:
    """Neither behind the spool nor behind the output."""
    command = 'afterrun exec backup --patience 1s -- sh -c "echo x; exit 5" > /dev/full'

    done = cron.run("exec", "outer", *IMPATIENT, "--", "sh", "-c", command)

    assert done.code == 5


def test_a_batch_whose_answer_was_lost_counts_once(daemon: Daemon, cron: Cron) -> None:
    """Also where it holds more runs of one job than a daemon remembers at once."""
    daemon.start()
    spool = Spool(cron.spool, print)
    with DroppingProxy(daemon, drops=1) as proxy:
        for number in range(100):
            report = Report("backup", {"run_id": f"run-{number}", "ended_at": number})
            spool.put(proxy.url, report).release()
        flush = ("spool", "flush")
        environ = {"AFTERRUN_URL": proxy.url}

        while cron.waiting():
            cron.run(*flush, environ=environ)

    assert total(daemon, "runs", "backup") == 100
    assert total(daemon, "duplicate_pings", "backup") == 100
