"""A start and a reload take the same steps; what fails meanwhile is logged."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job
from afterrun_exporter.engine.runtime import SWEEP_EVERY, Runtime, running_service
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.engine.test_service import FullStore
from tests.fakes import ManualClock
from tests.services import job_config


class Config(NamedTuple):
    job_config: JobConfig


OLD, NEW = Config(job_config(BACKUP)), Config(job_config(BACKUP, Job(name="new")))


async def test_the_parts_follow_each_configuration_that_the_service_accepts(
    clock: ManualClock,
) -> None:
    store, seen = FullStore(), []
    service = Service(store, clock, OLD.job_config)

    async def first(config: Config) -> None:
        seen.append((1, sorted(config.job_config.jobs), sorted(service.names)))

    async def second(config: Config) -> None:
        seen.append((2, sorted(config.job_config.jobs), sorted(service.names)))

    runtime = Runtime[Config](service, [first, second])
    await runtime.start(OLD)
    store.full = True
    with pytest.raises(StorageError):
        await runtime.reconfigure(NEW)
    assert runtime.configured_jobs == {"backup"}
    store.full = False
    await runtime.reconfigure(NEW)

    assert runtime.configured_jobs == {"backup", "new"}
    assert seen == [
        (number, jobs, jobs)
        for jobs in (["backup"], ["backup", "new"])
        for number in (1, 2)
    ]


async def test_runs_have_the_revision_that_was_noted_last(clock: ManualClock) -> None:
    """Another commit may have the same jobs."""
    store = FullStore()
    service = Service(store, clock, OLD.job_config)
    runtime = Runtime[Config](service, [])
    await runtime.start(OLD)

    runtime.note_revision("abc")
    result = await service.record(ping("22 02:05"))

    assert result.run is not None
    assert result.run.config_commit == "abc"


async def test_a_job_that_cannot_be_judged_is_logged(clock: ManualClock) -> None:
    class Broken:
        text, period = "broken", 60.0

        def next_after(self, instant: float) -> float:
            if instant >= at("22 02:00"):
                raise RuntimeError("no such slot")
            return at("22 02:00")

    broken = replace(BACKUP, name="broken", schedule=Broken())
    service = Service(FullStore(), clock, job_config(broken))
    await service.start()
    clock.show(at("22 02:30:01"))

    with capture_logs() as logs:
        async with running_service(service, clock):
            await yield_to_loop()
            await clock.advance(SWEEP_EVERY)

    assert [(one["event"], one["job"]) for one in logs] == [
        ("evaluation_failed", "broken")
    ]
