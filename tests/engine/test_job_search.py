"""Jobs are found among many, a page at a time, whoever comes and goes meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.job_query import JobQuery
from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.job_search import page
from afterrun_exporter.engine.service import Service
from tests.core.jobs import ping
from tests.fakes import ManualClock
from tests.services import job_config

JOBS = (
    Job(name="b-load", labels=(("team", "data"), ("env", "prod")), tags=("db", "big")),
    Job(name="a-load", labels=(("team", "data"), ("env", "test")), project="shop"),
    Job(name="Report", labels=(("team", "web"), ("env", "prod")), tags=("db",)),
    Job(name="off", enabled=False, project="shop"),
)


async def names(service: Service, wanted: JobQuery, limit: int = 9) -> list[str]:
    found, _ = await page(service, wanted, limit)
    return [job.name for job, _ in found]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (JobQuery(), ["Report", "a-load", "b-load", "off"]),
        (JobQuery(label=("team=data",)), ["a-load", "b-load"]),
        (JobQuery(label=("team=data", "env=prod")), ["b-load"]),
        (JobQuery(label=("team=nobody",)), []),
        (JobQuery(project="shop"), ["a-load", "off"]),
        (JobQuery(tag=("db",)), ["Report", "b-load"]),
        (JobQuery(tag=("big", "db")), ["b-load"]),
        (JobQuery(q="LOAD"), ["a-load", "b-load"]),
        (JobQuery(q="rep"), ["Report"]),
        (JobQuery(state="paused"), ["off"]),
        (JobQuery(state="new", project="shop"), ["a-load"]),
    ],
)
async def test_all_that_is_asked_for_must_hold(
    service: Service, wanted: JobQuery, found: list[str]
) -> None:
    """In the order of the names."""
    await service.reconfigure(job_config(*JOBS))

    assert await names(service, wanted) == found


async def test_a_job_between_two_attempts_is_found(service: Service) -> None:
    report = ping("21 12:00", outcome=Outcome.FAIL, attempt=1, max_attempts=2)
    await service.record(report)

    assert await names(service, JobQuery(state="retrying")) == ["backup"]
    assert await names(service, JobQuery(state="ok")) == []


async def test_a_page_says_whether_there_are_more(service: Service) -> None:
    """A page that happens to be full is not the reason to ask again."""
    await service.reconfigure(job_config(*JOBS))

    first, more = await page(service, JobQuery(), 2)
    second, end = await page(service, JobQuery(), 2, after="a-load")

    assert ([job.name for job, _ in first], more) == (["Report", "a-load"], True)
    assert ([job.name for job, _ in second], end) == (["b-load", "off"], False)


async def test_jobs_are_found_as_they_come_and_go(
    service: Service, clock: ManualClock
) -> None:
    """Registered by a ping, removed, and registered again."""
    job_admin = JobAdmin(service, clock)
    for name in ("new-2", "new-1", "new-3"):
        await service.record(ping("21 12:00", job=name))
    before = await names(service, JobQuery(q="new"))
    await job_admin.retire("new-2")
    without = await names(service, JobQuery(q="new"))
    await service.record(ping("21 12:01", job="new-2"))

    assert before == ["new-1", "new-2", "new-3"]
    assert without == ["new-1", "new-3"]
    assert await names(service, JobQuery(q="new")) == before
    assert list(service.names) == sorted(service.names)


@pytest.mark.usefixtures("long_items")
async def test_a_search_holds_nobody_up_and_misses_nobody(service: Service) -> None:
    """Others get their turn, and register jobs, while it goes through the rest."""
    many = [Job(name=f"job-{n:05}") for n in range(10_000)]
    await service.reconfigure(job_config(*many))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            # Before, among and behind what is being looked at.
            name = f"{('a', 'job-05000-', 'z')[turns % 3]}{turns}"
            await service.record(ping("21 12:00", job=name))
            turns += 1

    meanwhile = asyncio.create_task(others())
    await yield_to_loop()
    before = turns
    found, more = await page(service, JobQuery(state="new"), 30_000)
    meanwhile.cancel()

    assert turns - before > 3
    assert not more
    assert [job.name for job, _ in found] == [job.name for job in many]
