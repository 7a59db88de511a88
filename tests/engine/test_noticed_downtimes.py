"""What a running daemon makes of steps of the clock, pauses, and a full disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, SuccessRatio
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.windows import Ratio
from afterrun_exporter.engine.downtimes import PROBE_EVERY
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.runtime import running_service
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.group_commit import Lost, Writes
from tests.core.jobs import at, told
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

MINUTE = 60.0
HOUR = 3600.0
DAY = 86_400.0

MINUTELY = Job(name="minutely", schedule=Every(60), grace=5.0)
HALF_HOURLY = Job(
    name="half-hourly", schedule=parse_cron("*/30 * * * *", "UTC"), grace=60.0
)
LIMITED = Job(name="limited", max_runtime=600.0)
FLAKY = Job(name="flaky", success_ratio=SuccessRatio(below=0.7, over=DAY, min_runs=3))

#: By what, and for how long, the clock is wrong.
LEAPS = [1.5, 50 * MINUTE, 2 * HOUR, 400 * DAY]


class Disk(MemoryStore):
    """A store whose disk is full whenever it is told to be."""

    full = False

    async def _write(self, writes: Writes) -> Lost:
        if self.full:
            raise StorageError("no space left on device")
        return await super()._write(writes)


class World:
    """A daemon that watches its clock, and jobs that report to it."""

    def __init__(self, clock: ManualClock, store: Disk) -> None:
        self.clock = clock
        self.store = store
        jobs = job_config(MINUTELY, HALF_HOURLY, LIMITED, FLAKY, settle=2 * MINUTE)
        self.service = Service(store, clock, jobs)

    async def report(
        self, job: str, kind: Kind = Kind.FINISH, outcome: Outcome = Outcome.OK
    ) -> None:
        """Report to *job*, now."""
        now = self.clock.now()
        mark = f"{job}{now}".encode()
        await self.service.record(
            Ping(job=job, kind=kind, at=now, outcome=outcome, fingerprint=mark)
        )

    @property
    def ratio(self) -> Ratio | None:
        state = self.service.state("flaky")
        return state.success_ratio if state else None

    async def live(self, seconds: float, *reporting: str) -> None:
        """Let time pass in which the jobs that are *reporting* do so, every minute."""
        for second in range(int(seconds)):
            if second % 60 == 30:
                for job in reporting:
                    with suppress(StorageError):
                        await self.report(job)
            await self.clock.advance(1.0)

    @property
    def open(self) -> set[tuple[str, str]]:
        """The jobs with alerts that are open, and their conditions."""
        return {
            (job.name, alert.key.condition.value)
            for job, state in self.service.watched()
            for alert in state.alerts
        }

    async def alerts(self) -> list[tuple[str, str]]:
        """Return all alerts there have been."""
        return [(one.job, one.key.condition.value) for one in await self.store.alerts()]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("21 12:03"))


@pytest.fixture
async def world(clock: ManualClock) -> AsyncIterator[World]:
    made = World(clock, Disk())
    await made.service.start()
    async with running_service(made.service, clock):
        await yield_to_loop()
        yield made


class TestAClockThatIsAhead:
    @pytest.mark.parametrize("leap", [*LEAPS, *(-leap for leap in LEAPS)])
    async def test_and_is_corrected_hides_no_run_from_a_window(
        self, world: World, leap: float
    ) -> None:
        """Seen: of a job with one failed run in ten, "0 of 1 runs were ok"."""
        for _ in range(9):
            await world.report("flaky")
            await world.clock.advance(MINUTE)
        await world.clock.step(leap)
        for _ in range(2):
            await world.report("flaky", outcome=Outcome.FAIL)
            await world.clock.advance(MINUTE)
        await world.clock.step(-leap)
        await world.clock.advance(MINUTE)

        # What was recorded as of a year ago is not of today.
        known = Ratio(9, 11) if leap > -DAY else Ratio(9, 9)
        assert world.ratio == known
        assert ("flaky", "success_ratio_low") not in world.open

        world.service = Service(world.store, world.clock, world.service.job_config)
        await world.service.start()
        assert world.ratio == known

    @pytest.mark.parametrize("leap", LEAPS)
    async def test_and_is_corrected_makes_no_pause_longer(
        self, world: World, leap: float
    ) -> None:
        """Seen: a job paused for an hour was not watched for a year."""
        await world.clock.step(leap)
        admin = JobAdmin(world.service, world.clock)
        await admin.pause("minutely", lasts=HOUR)
        await admin.pause("half-hourly", world.clock.now() + HOUR)
        await world.clock.step(-leap)
        for seconds in (MINUTE, HOUR, 5 * MINUTE, 5 * MINUTE):
            await world.clock.advance(seconds)

        assert ("minutely", "missed") in world.open
        # A time of day is that time of day.
        other = world.service.state("half-hourly")
        assert other is not None
        assert bool(other.paused_at) is (leap > 10 * MINUTE)

    @pytest.mark.parametrize("leap", LEAPS)
    async def test_and_is_corrected_hides_nothing(
        self, world: World, leap: float
    ) -> None:
        """Seen: no job was missed or overrunning until the old time had come again."""
        await world.report("minutely")
        await world.clock.step(leap)
        await world.live(200, "minutely")
        await world.report("limited", Kind.START)
        await world.clock.step(-leap)
        await world.live(70)
        assert world.open == {("minutely", "missed")}

        await world.live(560)
        assert world.open == {("minutely", "missed"), ("limited", "overrunning")}
        assert await world.alerts() == [
            ("limited", "overrunning"),
            ("minutely", "missed"),
        ]

    @pytest.mark.parametrize("leap", LEAPS)
    async def test_raises_no_alert_of_a_job_that_reports(
        self, world: World, leap: float
    ) -> None:
        for _ in range(2):
            await world.live(100, "minutely")
            await world.clock.step(leap)
            await world.live(100, "minutely")
            await world.clock.step(-leap)
        await world.live(600, "minutely")

        assert ("minutely", "missed") not in await world.alerts()

    @pytest.mark.parametrize("leap", LEAPS)
    async def test_and_is_corrected_after_the_start_hides_nothing(
        self, clock: ManualClock, leap: float
    ) -> None:
        """As where the hardware clock is in local time."""
        world = World(clock, Disk())
        clock.show(clock.now() + leap)
        await world.service.start()
        await world.report("minutely")
        await clock.step(-leap)
        for _ in range(130):
            clock.show(clock.now() + 1.0)
            await world.service.sweep()

        assert world.open == {("minutely", "missed")}

    async def test_slots_between_the_right_time_and_the_leap_are_expected(
        self, world: World
    ) -> None:
        await world.report("half-hourly")
        await world.clock.step(2 * HOUR)
        await world.report("half-hourly")
        await world.live(60)
        await world.clock.step(-2 * HOUR)
        await world.live(26 * MINUTE)
        assert await world.alerts() == [("minutely", "missed")]

        await world.live(3 * MINUTE)
        assert ("half-hourly", "missed") in world.open

    async def test_leaves_nothing_in_the_future(self, world: World) -> None:
        await world.clock.step(2 * HOUR)
        await world.report("limited", Kind.START)
        await world.report("minutely")
        await world.live(300)
        await world.clock.step(-2 * HOUR)
        await world.live(2)

        now = world.clock.now()
        for name in world.service.names:
            state = world.service.state(name)
            assert state is not None
            assert state.last_success_at <= now
            assert state.last_start_at <= now
            assert state.due_after <= now
            assert all(alert.opened_at <= now for alert in state.alerts)

    async def test_leaves_no_alert_that_opens_in_the_future(self, world: World) -> None:
        """Seen: the state said since when, and the record of the alert another time."""
        await world.clock.step(2 * HOUR)
        failed = Ping(
            job="limited",
            kind=Kind.FINISH,
            at=world.clock.now(),
            outcome=Outcome.FAIL,
            message="disk full",
        )
        await world.service.record(failed)
        await world.clock.step(-2 * HOUR)
        await world.live(2)
        (alert,) = await world.store.alerts()
        state = world.service.state("limited")
        assert state is not None
        assert alert.opened_at == state.alerts[0].opened_at <= world.clock.now()
        assert (alert.run, alert.summary[-9:]) == (1, "disk full")

        await world.live(2)
        await world.report("limited")
        (alert,) = await world.store.alerts()
        assert alert.resolved_at == world.clock.now() > alert.opened_at

    async def test_takes_a_report_from_before_the_correction_as_of_now(
        self, world: World
    ) -> None:
        """It was received by the old clock, and is recorded only now."""
        old = world.clock.now() + 2 * HOUR
        await world.clock.step(2 * HOUR)
        await world.live(2)
        await world.clock.step(-2 * HOUR)
        await world.service.record(Ping(job="minutely", kind=Kind.FINISH, at=old))

        state = world.service.state("minutely")
        assert state is not None
        assert state.last_ping_at == world.clock.now()
        assert state.last_success_at == world.clock.now()


class TestAPause:
    @pytest.mark.parametrize("seconds", [20.0, 120.0, HOUR, 3 * DAY])
    async def test_is_no_flood_of_misses(self, world: World, seconds: float) -> None:
        await world.live(100, "minutely", "half-hourly")
        await world.clock.suspend(seconds)
        await world.live(300, "minutely", "half-hourly")

        assert await world.alerts() == []

    async def test_is_noticed_by_a_report_that_comes_first(self, world: World) -> None:
        await world.report("minutely")
        world.clock.show(world.clock.now() + 30)
        suspended = asyncio.create_task(world.clock.suspend(120.0))
        # The sweeper has not had its turn yet.
        await world.report("minutely")
        await suspended

        assert await world.alerts() == []

    async def test_hides_nothing(self, world: World) -> None:
        await world.report("minutely")
        await world.report("limited", Kind.START)
        await world.clock.suspend(300.0)
        await world.live(190)
        assert world.open == {("minutely", "missed")}

        await world.live(120)
        assert ("limited", "overrunning") in world.open


class TestStorageThatRefuses:
    @pytest.mark.parametrize("seconds", [10, 60, 600])
    async def test_is_a_downtime(self, world: World, seconds: int) -> None:
        """Reports are refused: that they are missing says nothing of their jobs."""
        await world.live(100, "minutely")
        world.store.full = True
        await world.live(seconds, "minutely")
        world.store.full = False
        await world.live(300, "minutely")

        assert ("minutely", "missed") not in await world.alerts()
        assert not world.service.downtimes.is_refusing

    async def test_ends_without_a_report(self, world: World) -> None:
        await world.report("minutely")
        world.store.full = True
        await world.live(100, "minutely")
        world.store.full = False
        await world.live(PROBE_EVERY + 2)
        assert not world.service.downtimes.is_refusing

        await world.live(200)
        assert world.open == {("minutely", "missed")}

    async def test_exposes_no_deadline_that_has_passed(self, world: World) -> None:
        """Prometheus would take it for a miss."""
        follower = world.service.follow()
        await world.report("minutely")
        world.store.full = True
        await world.live(35, "minutely")
        follower.take()
        await world.live(PROBE_EVERY + 1)

        assert "minutely" in follower.take()

    async def test_is_logged_once_as_it_begins_and_once_as_it_ends(
        self, world: World
    ) -> None:
        world.store.full = True
        with capture_logs() as logs:
            await world.live(100, "minutely")
            world.store.full = False
            await world.live(100, "minutely")

        events = [one["event"] for one in logs if one["event"].startswith("storage_")]
        assert events == ["storage_failing", "storage_recovered"]


class TestWhatIsLogged:
    @pytest.mark.parametrize("seconds", [7200.0, -7200.0, 1.5])
    async def test_a_step_is_one_event(self, world: World, seconds: float) -> None:
        with capture_logs() as logs:
            await world.clock.step(seconds)
            await world.live(5)

        assert [(one["event"], one["seconds"]) for one in logs] == [
            ("clock_stepped", seconds)
        ]
        assert (
            world.service.downtimes.steps,
            world.service.downtimes.pauses,
        ) == (1, 0)

    async def test_a_pause_is_one_event(self, world: World) -> None:
        with capture_logs() as logs:
            await world.clock.suspend(120.0)
            await world.live(5)

        assert [(one["event"], one["seconds"]) for one in logs] == [
            ("suspended", 120.0)
        ]
        assert (
            world.service.downtimes.steps,
            world.service.downtimes.pauses,
        ) == (0, 1)


class TestPruning:
    """Runs that only look old are kept."""

    @pytest.fixture
    async def service(self, clock: ManualClock) -> Service:
        made = Service(MemoryStore(), clock, JobConfig(keep_for=30 * DAY))
        await made.start()
        return made

    async def record(self, service: Service, clock: ManualClock) -> None:
        await service.record(
            Ping(
                job="minutely",
                kind=Kind.FINISH,
                at=clock.now(),
                run_id=told(clock.now()),
            )
        )

    @pytest.mark.parametrize("leap", [400 * DAY, 31 * DAY])
    async def test_after_a_leap(
        self, service: Service, clock: ManualClock, leap: float
    ) -> None:
        for _ in range(3):
            await self.record(service, clock)
            clock.show(clock.now() + MINUTE)
        await clock.step(leap)
        await service.sweep()
        assert await service.prune() == 0

        await clock.step(-leap)
        await service.sweep()
        assert await service.prune() == 0
        assert len(await service.store.runs("minutely", 9)) == 3

    async def test_after_a_start_with_a_clock_that_is_ahead(
        self, service: Service, clock: ManualClock
    ) -> None:
        for _ in range(3):
            await self.record(service, clock)
            clock.show(clock.now() + MINUTE)
        clock.show(clock.now() + 400 * DAY)
        again = Service(service.store, clock, service.job_config)
        await again.start()

        assert await again.prune() == 0
        # A day without a step: it has been down for that long.
        clock.show(clock.now() + DAY)
        assert await again.prune() == 2

    async def test_of_old_ones_goes_on_where_the_daemon_is_restarted_every_day(
        self, service: Service, clock: ManualClock
    ) -> None:
        await self.record(service, clock)
        for _ in range(32):
            clock.show(clock.now() + DAY)
            service = Service(service.store, clock, service.job_config)
            await service.start()
            clock.show(clock.now() + MINUTE)
            await self.record(service, clock)

        assert await service.prune() >= 1


class TestJobsThatArePlannedAgain:
    async def test_wait_for_the_disk(self, clock: ManualClock) -> None:
        world = World(clock, Disk())
        await world.service.start()
        await clock.step(2 * HOUR)
        world.store.full = True

        with pytest.raises(StorageError):
            await world.service.sweep()
        assert world.service.downtimes.is_pending

        world.store.full = False
        # The end of the outage is a downtime, too.
        await world.service.sweep()
        await world.service.sweep()
        assert not world.service.downtimes.is_pending


async def test_a_disk_that_hangs_is_an_outage_and_is_not_tried_meanwhile(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(clock, Disk())
    await world.service.start()
    monkeypatch.setattr(world.store, "writing_for", lambda: 60.0)

    await world.service.watch()
    assert world.service.downtimes.is_refusing

    monkeypatch.setattr(world.store, "writing_for", lambda: 0.0)
    clock.show(clock.now() + PROBE_EVERY)
    await world.service.watch()
    assert not world.service.downtimes.is_refusing


def test_a_commit_without_an_outage_ends_none(clock: ManualClock) -> None:
    world = World(clock, Disk())

    with capture_logs() as logs:
        world.service.downtimes.accepted()

    assert logs == []
    assert not world.service.downtimes.is_pending
