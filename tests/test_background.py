"""Work of the daemon that nobody asks for."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.app import PRUNE_AFTER, PRUNE_EVERY, prune_forever
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.testing import ManualClock, MemoryStore

DAY = 86_400.0


class Refusing(MemoryStore):
    """Cannot prune while it is full."""

    full = False

    async def prune(self, before: float, runs_per_job: int) -> int:
        if self.full:
            raise StorageError("the disk is full")
        return await super().prune(before, runs_per_job)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store() -> Refusing:
    return Refusing()


@pytest.fixture
async def service(clock: ManualClock, store: Refusing) -> Service:
    made = Service(store, clock, JobConfig(keep_for=DAY))
    await made.start()
    return made


async def report(service: Service, clock: ManualClock) -> None:
    await service.record(Ping(job="backup", kind=Kind.FINISH, at=clock.now()))


async def test_old_runs_are_removed_soon_after_the_start_and_then_every_hour(
    service: Service, clock: ManualClock, store: Refusing
) -> None:
    """A daemon that is restarted every day has to prune, too."""
    await report(service, clock)
    clock.show(clock.now() + 2 * DAY)
    await report(service, clock)
    task = asyncio.create_task(prune_forever(service, clock))
    await yield_to_loop()

    await clock.advance(PRUNE_AFTER - 1)
    assert len(await store.runs("backup", 9)) == 2
    await clock.advance(1)
    assert len(await store.runs("backup", 9)) == 1

    clock.show(clock.now() + 2 * DAY)
    await report(service, clock)
    store.full = True
    with capture_logs() as logs:
        await clock.advance(PRUNE_EVERY)
    assert [entry["event"] for entry in logs] == ["prune_failed"]
    assert len(await store.runs("backup", 9)) == 2
    store.full = False
    await clock.advance(PRUNE_EVERY)
    assert len(await store.runs("backup", 9)) == 1

    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
