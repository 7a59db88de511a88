"""Work of the daemon that nobody asks for."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.engine.periodic import FAILED, PeriodicTask, running
from afterrun_exporter.engine.runtime import PRUNE_AFTER, PRUNE_EVERY, running_service
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from tests.fakes import ManualClock, MemoryStore

DAY = 86_400.0


class Refusing(MemoryStore):
    """Cannot prune while it is full."""

    full = False

    async def prune(
        self, before: float, runs_per_job: int, reports_before: float | None = None
    ) -> int:
        if self.full:
            raise StorageError("the disk is full")
        return await super().prune(before, runs_per_job, reports_before)


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
    async with running_service(service, clock):
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
        assert [(entry["event"], entry["task"]) for entry in logs] == [
            (FAILED, "prune")
        ]
        assert len(await store.runs("backup", 9)) == 2
        store.full = False
        await clock.advance(PRUNE_EVERY)
        assert len(await store.runs("backup", 9)) == 1


async def test_a_round_that_fails_is_logged_and_the_next_one_runs(
    clock: ManualClock,
) -> None:
    """No background loop ends silently, whatever its work raises."""
    rounds = []

    async def work() -> None:
        rounds.append(clock.now())
        if len(rounds) % 2:
            raise RuntimeError("unexpected")

    task = PeriodicTask(name="work", work=work, every=10.0, first=1.0)
    with capture_logs() as logs:
        async with running(task.run(clock)):
            await yield_to_loop()
            await clock.advance(1)
            await clock.advance(10)
            await clock.advance(10)

    assert len(rounds) == 3
    assert [(entry["event"], entry["task"]) for entry in logs] == [(FAILED, "work")] * 2
