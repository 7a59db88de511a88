"""A daemon that was down: what it says of the jobs that were due meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from afterrun_exporter import conventions as names
from afterrun_exporter.core.job_query import JobQuery
from afterrun_exporter.core.model import Dependency, Job, Kind
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.job_search import page
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from tests.core.jobs import at, ping
from tests.downtimes import NIGHTLY, job, later, restarted
from tests.exposition.test_endpoint import values
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

TWENTY: Final = [f"job-{n:02}" for n in range(20)]


def open_alerts(service: Service) -> list[tuple[str, str]]:
    return [
        (job.name, alert.key.condition.value)
        for job, state in service.watched()
        for alert in state.alerts
    ]


async def unobserved(service: Service) -> list[str]:
    found, _ = await page(service, JobQuery(state="unobserved"), 1000)
    return [job.name for job, _ in found]


async def scraped(service: Service) -> dict[tuple[str, ...], float]:
    exposition = Exposition(service, SelfMetrics("1"))
    text = b"".join((await exposition.scrape()).text()).decode()
    return values(text)


async def test_twenty_jobs_that_were_due_in_a_downtime(clock: ManualClock) -> None:
    """Some reported into a spool, some were lost, some did not run: nobody knows which."""
    spooled, lost = TWENTY[:6], TWENTY[6:13]
    service = Service(MemoryStore(), clock, job_config(*map(job, TWENTY)))
    await service.start()
    for name in TWENTY:
        await service.record(ping("21 12:05", job=name))

    # From 21 12:10 to 22 03:00; all were due at 02:00, by 02:30.
    service = await restarted(service, clock, "22 03:00")
    for name in spooled[:3]:
        late = ping("22 03:01", job=name, ended_at=at("22 02:10"))
        await service.record(late)
    await later(service, clock, "22 03:02")
    assert await unobserved(service) == []
    await later(service, clock, "22 03:02:01")
    assert await unobserved(service) == TWENTY[3:]
    assert open_alerts(service) == []

    samples = await scraped(service)
    assert samples[(names.UNOBSERVED_JOBS,)] == 17
    one, other = f"job_name={TWENTY[3]}", f"job_name={TWENTY[0]}"
    assert samples[names.UNOBSERVED, one] == samples[names.UNOBSERVED_SLOTS, one] == 1
    assert samples[names.UNOBSERVED, other] == 0
    assert samples[names.UNOBSERVED_SLOTS, other] == 0
    due = samples[names.DEADLINE, one, "severity=warning"]
    assert due == at("23 02:30")

    # The rest of the spool, then a run by hand.
    for name in spooled[3:]:
        await service.record(ping("22 03:10", job=name, ended_at=at("22 02:10")))
    await service.record(ping("22 09:00", job=TWENTY[-1]))
    assert await unobserved(service) == TWENTY[6:-1]

    # The next night, those run that were lost.
    for name in (*spooled, *lost):
        await service.record(ping("23 02:05", job=name))
    await later(service, clock, "23 02:30:01")
    assert await unobserved(service) == []
    missed = [(name, "missed") for name in TWENTY[13:]]
    assert open_alerts(service) == missed
    samples = await scraped(service)
    assert samples[(names.UNOBSERVED_JOBS,)] == 0
    assert samples[names.UNOBSERVED_SLOTS, one] == 1


async def test_a_restart_within_the_settle_time_goes_on_with_the_downtime(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with SQLiteStore.open(tmp_path / "afterrun.db") as store:
        service = Service(store, clock, job_config(NIGHTLY))
        await service.start()
        service = await restarted(service, clock, "22 02:40")
        service = await restarted(service, clock, "22 02:41")
        await later(service, clock, "22 02:43")
        assert await unobserved(service) == []
        await later(service, clock, "22 02:43:01")
        assert await unobserved(service) == ["backup"]

    async with SQLiteStore.open(tmp_path / "afterrun.db") as store:
        clock.show(at("22 05:00"))
        service = Service(store, clock, job_config(NIGHTLY))
        await service.start()
        assert await unobserved(service) == ["backup"]
        logs = [entry.message for entry in await store.logs("backup")]
    (log,) = logs
    assert log == (
        "the slot of 2026-11-22T02:00:00Z is unobserved: no report could arrive until "
        "2026-11-22T02:41:00Z"
    )


@pytest.mark.parametrize(
    ("job", "deadline"),
    [
        (job("a", schedule=Every(3), grace=1), "21 12:00:04"),
        (job("a", schedule=parse_cron("* * * * *", "UTC"), grace=5), "21 12:01:05"),
        (job("a", schedule=Every(3600), grace=1), "21 13:00:01"),
    ],
)
async def test_a_first_start_is_no_downtime(
    clock: ManualClock, job: Job, deadline: str
) -> None:
    """The answer says the real deadline, and the job is missed after it."""
    service = Service(MemoryStore(), clock, job_config(job))
    await service.start()
    verdict = await service.record(ping("21 12:00", job="a"))
    assert verdict.deadline == at(deadline)

    clock.show(at(deadline) + 0.5)
    await service.sweep()
    assert open_alerts(service) == [("a", "missed")]


async def test_a_run_that_starts_after_the_daemon_has_its_real_limit_everywhere(
    service: Service, clock: ManualClock
) -> None:
    brief = Job(name="brief", max_runtime=3.0)
    await service.reconfigure(job_config(brief))
    await service.record(ping("21 12:00:01", Kind.START, job="brief"))
    samples = await scraped(service)
    key = names.RUN_DEADLINE, "job_name=brief", "severity=warning"
    assert samples[key] == at("21 12:00:04")

    await later(service, clock, "21 12:00:05")
    (alert,) = await service.store.alerts()
    assert alert.summary == "a run should have finished by 2026-11-21T12:00:04Z"
    assert alert.opened_at == at("21 12:00:04")


async def test_a_required_job_is_not_unhealthy_because_it_is_unobserved(
    clock: ManualClock,
) -> None:
    ingest, load = job("ingest"), job("load", depends_on=(Dependency("ingest"),))
    service = Service(MemoryStore(), clock, job_config(ingest, load))
    await service.start()
    service = await restarted(service, clock, "22 03:00")
    await later(service, clock, "22 03:03")

    verdict = await service.record(ping("22 03:04", job="load"))

    assert verdict.transition.warnings == ()
    assert open_alerts(service) == []


async def test_a_paused_job_is_not_unobserved(clock: ManualClock) -> None:
    service = Service(MemoryStore(), clock, job_config(NIGHTLY, job("other")))
    await service.start()
    await JobAdmin(service, clock).pause("backup", None)
    service = await restarted(service, clock, "22 03:00")
    await later(service, clock, "22 03:03")
    assert await unobserved(service) == ["other"]

    job_admin = JobAdmin(service, clock)
    await job_admin.pause("other", None)
    assert await unobserved(service) == []
    await job_admin.resume("backup")
    assert await unobserved(service) == []
    state = service.state("backup")
    assert state is not None
    assert state.unobserved_total == 0


async def test_one_that_leaves_the_configuration_is_not_counted(
    clock: ManualClock,
) -> None:
    service = Service(MemoryStore(), clock, job_config(NIGHTLY, job("other")))
    await service.start()
    service = await restarted(service, clock, "22 03:00")
    await later(service, clock, "22 03:03")
    exposition = Exposition(service, SelfMetrics("1"))
    await exposition.scrape()

    await service.reconfigure(job_config(NIGHTLY))

    text = b"".join((await exposition.scrape()).text()).decode()
    assert values(text)[(names.UNOBSERVED_JOBS,)] == 1
