"""A daemon that is down while jobs are due: they are unobserved, and the next run decides."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from afterrun_exporter.core.timestamps import format_time
from tests.e2e.daemon.conftest import MakeDaemon
from tests.e2e.daemon.daemon import Daemon, wait_until

#: All but one are due at the same minute of each hour. A late report has to come before
#: the daemon has settled, on a busy machine too.
SETTLE = 40.0
CONFIG = """
settle: 40s
defaults: {{grace: 1s}}
jobs:
  lost: {{schedule: "{minute} * * * *"}}
  spooled: {{schedule: "{minute} * * * *"}}
  matters: {{schedule: "{minute} * * * *", on_downtime: alert}}
  hourly: {{every: 1h}}
"""


def after_downtime(daemon: Daemon) -> tuple[float, bool]:
    """Start the daemon after a downtime in which jobs were due, and report one run late.

    Return when they were due, and False if a busy machine was too slow for that.
    """
    # The daemon has to be down by then.
    slot = (time.time() + 30) // 60 * 60 + 60
    minute = datetime.fromtimestamp(slot, UTC).minute
    daemon.configure(CONFIG.format(minute=minute))
    daemon.start()
    assert daemon.stop() == 0
    if time.time() >= slot:
        return slot, False
    wait_until(lambda: time.time() > slot + 1.5, "the jobs were due")

    began = time.monotonic()
    daemon.start()
    late = {"ended_at": format_time(slot)}
    assert daemon.post("/ping/spooled", late).status == 200
    return slot, time.monotonic() - began < SETTLE


def test_jobs_that_were_due_meanwhile_are_unobserved(make_daemon: MakeDaemon) -> None:
    attempts: list[tuple[Daemon, float]] = []

    def is_in_time() -> bool:
        daemon = make_daemon()
        slot, is_reported = after_downtime(daemon)
        attempts.append((daemon, slot))
        if not is_reported:
            daemon.kill()
        return is_reported

    wait_until(is_in_time, "the late report comes in time")
    daemon, slot = attempts[-1]
    wait_until(
        lambda: daemon.series()["afterrun_unobserved_jobs", ""] > 0, "it is settled"
    )

    series = daemon.series()
    jobs = ("lost", "spooled", "matters", "hourly")
    assert [series["afterrun_job_unobserved", job] for job in jobs] == [1, 0, 0, 0]
    slots = [series["afterrun_job_unobserved_slots_total", job] for job in jobs]
    assert slots == [1, 0, 0, 0]
    due = series["afterrun_job_deadline_timestamp_seconds", "lost"]
    assert due == slot + 3601

    wait_until(lambda: daemon.series()["afterrun_job_stale", "matters"] == 1, "missed")
    alerts = daemon.get("/api/v1/alerts").json()["alerts"]
    assert [(one["job"], one["kind"]) for one in alerts] == [("matters", "missed")]
    found = daemon.get("/api/v1/jobs?state=unobserved").json()["jobs"]
    assert [job["name"] for job in found] == ["lost"]
    assert "1 job</a> was due while AfterRun was down" in daemon.get("/").text
    assert "it is not known whether it ran" in daemon.get("/jobs/lost").text

    assert daemon.post("/ping/lost", {}).status == 200
    assert daemon.series()["afterrun_unobserved_jobs", ""] == 0
