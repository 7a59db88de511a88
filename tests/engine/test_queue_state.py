"""Counts of what runs, waits and is missed."""

from __future__ import annotations

from afterrun_exporter.core.model import Job, Kind
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.engine.queue_state import queue_state
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP, ping
from tests.fakes import ManualClock
from tests.services import job_config


async def test_each_job_is_counted_once_by_what_is_expected_of_it(
    service: Service, clock: ManualClock
) -> None:
    hourly = Job(name="hourly", schedule=parse_cron("0 * * * *", "UTC"), grace=1800.0)
    await service.reconfigure(
        job_config(
            BACKUP,
            hourly,
            Job(name="missed", schedule=Every(60.0), grace=60.0),
            Job(name="long", max_runtime=7200.0),
        )
    )
    await service.record(ping("21 12:00", Kind.START, job="long", run_id="r1"))
    await clock.advance(3605.0)
    await service.sweep()

    counts = await queue_state(service, clock.now(), limit=5)

    assert (counts.open_runs, counts.waiting, counts.due, counts.missed) == (1, 1, 1, 1)
    assert [name for _, _, name in counts.upcoming] == ["backup"]


async def test_the_soonest_slots_of_many_jobs_are_kept(
    service: Service, clock: ManualClock
) -> None:
    jobs = [
        Job(name=f"job-{n}", schedule=parse_cron(f"{n % 60} {n // 60} * * *", "UTC"))
        for n in range(1200)
    ]
    await service.reconfigure(job_config(*jobs))

    counts = await queue_state(service, clock.now(), limit=2)

    assert counts.waiting == len(jobs)
    # It is noon: after those of the past, the soonest are of this afternoon.
    assert [name for _, _, name in counts.upcoming] == ["job-721", "job-722"]
    assert (await queue_state(service, clock.now(), limit=0)).upcoming == []


async def test_a_job_that_is_removed_meanwhile_is_not_counted(
    service: Service, clock: ManualClock
) -> None:
    class Removing:
        names = ("gone",)
        settings = service.settings

        def job_and_state(self, name: str) -> None:
            assert name == "gone"

    counts = await queue_state(Removing(), clock.now(), limit=5)  # type: ignore[arg-type]

    assert not counts.jobs
