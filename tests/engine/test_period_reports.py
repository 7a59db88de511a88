"""Reports of a running service: all jobs, or those that match."""

from __future__ import annotations

from afterrun_exporter.core.job_query import JobQuery
from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.core.period_reports import parse_period
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.period_reports import report
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

SYNC = Job(name="sync", project="shop")


async def test_a_report_has_idle_and_removed_jobs_unless_it_has_filters() -> None:
    clock = ManualClock(at("21 12:00"))
    service = Service(MemoryStore(), clock, job_config(BACKUP, SYNC))
    await service.start()
    await service.record(ping("21 12:00", job="gone", outcome=Outcome.FAIL))
    await service.record(ping("21 12:00", job="sync"))
    clock.show(at("21 13:00"))
    await JobAdmin(service, clock).retire("gone")
    period = parse_period("1d", clock.now())

    every = await report(service, JobQuery(), period, 9)
    some = await report(service, JobQuery(project="shop"), period, 9)

    assert [(row.name, row.runs, row.ok) for row in every.jobs] == [
        ("gone", 1, 0),
        ("backup", 0, 0),
        ("sync", 1, 1),
    ]
    assert [day.not_ok for day in every.days] == [1]
    assert [row.name for row in every.worst] == ["gone"]
    assert every.jobs[0].broken_seconds == 3600.0
    assert [row.name for row in some.jobs] == ["sync"]
    assert some.days == []
