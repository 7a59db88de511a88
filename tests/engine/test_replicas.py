"""Several replicas are one service: whatever one of them is told, all know and hold."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from afterrun_exporter.core.deadlines import deadline
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import (
    Dependency,
    Job,
    Kind,
    Outcome,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError, UnknownJobError
from tests.copies import replace
from tests.core.jobs import at
from tests.fakes import ManualClock
from tests.postgres_replicas import in_postgres
from tests.replicas import Backend, InMemory, ReplicaStore, World
from tests.services import job_config

MINUTE = 60.0
HOUR = 3600.0
DAY = 86_400.0

HOURLY = Job(name="hourly", schedule=parse_cron("0 * * * *", "UTC"), grace=60.0)
LOADING = Job(name="loading", schedule=parse_cron("0 * * * *", "UTC"), grace=60.0)
REPORT = replace(LOADING, name="report", depends_on=(Dependency("loading", True),))
FLAKY = Job(name="flaky", success_ratio=SuccessRatio(below=0.7, over=DAY, min_runs=3))
SLOW = Job(name="slow", slower_than=SlowerThan(factor=2.0, over=DAY, min_runs=3))
CONFIG = job_config(HOURLY, LOADING, REPORT, FLAKY, SLOW, settle=2 * MINUTE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("21 11:55"))


@pytest.fixture
async def backend(
    request: pytest.FixtureRequest, clock: ManualClock
) -> AsyncIterator[Backend]:
    """Both kinds of tests that say so: a real server takes longer."""
    if getattr(request, "param", "memory") == "memory":
        yield InMemory(clock)
        return
    async with in_postgres(request.getfixturevalue("postgres"), clock) as backend:
        yield backend


on_both = pytest.mark.parametrize(
    "backend",
    ["memory", pytest.param("postgres", marks=pytest.mark.thorough)],
    indirect=True,
)


@pytest.fixture
async def world(backend: Backend, clock: ManualClock) -> AsyncIterator[World]:
    """Two replicas, of which the first leads."""
    world = World(backend, clock, CONFIG)
    for name in ("a", "b"):
        await world.start(name)
    yield world
    await world.close()


async def succeed(world: World, *jobs: str) -> None:
    """Report a success of each job, alternately to the replicas."""
    processes = [*world.processes.values()]
    for number, job in enumerate(jobs):
        await processes[number % len(processes)].report(job)
    await world.look()


class TestMisses:
    @on_both
    async def test_are_decided_once(self, world: World) -> None:
        await world.live(8 * MINUTE)

        missed = [
            job for job, condition, _ in await world.alerts() if condition == "missed"
        ]
        assert sorted(missed) == ["hourly", "loading", "report"]
        for process in world.processes.values():
            assert process.open("hourly") == {"missed"}
            assert process.state("hourly").missed_total == 1

    async def test_are_not_missing_if_the_leader_stops(self, world: World) -> None:
        """And the job that ran has no alert."""
        await world.live(4 * MINUTE)
        await world.processes["b"].report("loading")
        await world.processes["a"].report("report")
        await world.stop("a")
        await world.live(5 * MINUTE)

        assert world.leaders == ["b"]
        assert await world.alerts() == [("hourly", "missed", at("21 12:01"))]

    @on_both
    async def test_are_not_missing_if_the_leader_freezes(self, world: World) -> None:
        await world.live(4 * MINUTE)
        await succeed(world, "loading", "report")
        await world.processes["a"].freeze()
        await world.live(5 * MINUTE)

        assert world.leaders == ["b"]
        assert await world.alerts() == [("hourly", "missed", at("21 12:01"))]

    @on_both
    async def test_are_not_wrong_after_a_leader_that_was_frozen_wakes(
        self, world: World
    ) -> None:
        """It has not heard of the runs: it must not judge before it has read."""
        frozen = world.processes["a"]
        await frozen.freeze()
        await world.live(4 * MINUTE)
        for job in ("hourly", "loading", "report"):
            await world.processes["b"].report(job)
        await world.live(5 * MINUTE)
        with pytest.raises(StorageError, match="last read"):
            await frozen.report("hourly")
        await frozen.service.sweep()
        await frozen.thaw()
        await world.live(5 * MINUTE)

        assert await world.alerts() == []
        assert frozen.state("hourly") == world.processes["b"].state("hourly")

    @on_both
    async def test_are_not_delayed_by_a_replica_that_crashes_again_and_again(
        self, world: World
    ) -> None:
        """Its starts are no downtimes: F2."""
        for _ in range(10):
            await world.live(45)
            if "c" in world.processes:
                await world.stop("c")
            process = await world.start("c")
            hourly, state = process.service.job("hourly"), process.state("hourly")
            assert hourly is not None
            due = deadline(hourly, state, process.service.settings)
            assert due == at("21 12:01")

        alerts = await world.alerts()
        assert ("hourly", "missed", at("21 12:01")) in alerts


class TestADowntime:
    @on_both
    async def test_of_the_database_gives_no_false_alert(
        self, world: World, backend: Backend
    ) -> None:
        """The deadlines of three jobs pass in it, and two report after it."""
        await world.live(3 * MINUTE)
        await backend.cut(is_down=True)
        await world.live(5 * MINUTE)
        for process in world.processes.values():
            with pytest.raises(StorageError):
                await process.report("hourly")
        assert world.leaders == []
        await backend.cut(is_down=False)
        await world.look()
        for process in world.processes.values():
            assert process.service.settings.settled_at > world.clock.now()
        await world.live(60)
        for job in ("hourly", "loading", "report"):
            await world.processes["b"].report(job)
        await world.live(10 * MINUTE)

        assert await world.alerts() == []

    async def test_of_the_database_hides_no_later_miss(
        self, world: World, backend: Backend
    ) -> None:
        await world.live(10)
        await backend.cut(is_down=True)
        await world.live(MINUTE)
        await backend.cut(is_down=False)
        await world.live(7 * MINUTE)

        assert ("hourly", "missed", at("21 12:01")) in await world.alerts()

    @on_both
    async def test_of_all_replicas_is_known_to_each_that_starts(
        self, world: World
    ) -> None:
        await world.live(3 * MINUTE)
        for name in ("a", "b"):
            await world.stop(name)
        await world.backend.advance(5 * MINUTE)
        first = await world.start("a")
        await world.live(30)
        second = await world.start("b")

        assert first.service.settings == second.service.settings
        assert second.service.settings.up_since == at("21 12:03")
        await world.live(5 * MINUTE)
        assert await world.alerts() == []

    @on_both
    async def test_that_comes_again_at_once_is_the_same_to_all(
        self, world: World, backend: Backend
    ) -> None:
        """Also to a replica that has not seen the first one."""
        for _ in range(2):
            await world.live(30)
            await backend.cut(is_down=True)
            await world.live(60)
            await backend.cut(is_down=False)
        await world.live(1)
        later = await world.start("c")

        settings = world.processes["a"].service.settings
        assert later.service.settings == settings
        assert settings.up_since - settings.down_since > 140

    async def test_of_one_replica_settles_nothing(self, world: World) -> None:
        await world.live(60)
        await world.stop("b")
        await world.live(60)
        again = await world.start("b")

        assert again.service.settings.settled_at == float("-inf")

    async def test_of_its_own_clock_settles_nothing(self, world: World) -> None:
        await world.clock.suspend(30)
        await world.look()
        await world.live(3)

        for process in world.processes.values():
            down = (
                process.service.settings.up_since - process.service.settings.down_since
            )
            # All of them were suspended, as the database knows.
            assert 29 <= down <= 32


class TestDependents:
    @on_both
    async def test_are_held_back_by_a_failure_that_another_replica_heard_of(
        self, world: World
    ) -> None:
        a, b = world.processes.values()
        await a.report("report", outcome=Outcome.FAIL)
        await b.report("loading", outcome=Outcome.FAIL)
        await world.live(3)

        for process in (a, b):
            assert "upstream_unhealthy" in process.open("report")
        await b.report("loading")
        await world.live(3)
        await a.report("report")
        await world.live(2 * MINUTE)
        for process in (a, b):
            assert process.open("report") == set()

    @pytest.mark.parametrize("hears", ["a", "b"])
    async def test_are_held_back_if_the_leader_stops_right_after(
        self, world: World, hears: str
    ) -> None:
        """The check of the dependents may be lost with it."""
        await world.processes["a"].report("report", outcome=Outcome.FAIL)
        await world.live(2)
        await world.processes[hears].report("loading", outcome=Outcome.FAIL)
        await world.stop("a")
        await world.live(6)

        assert "upstream_unhealthy" in world.processes["b"].open("report")


class TestAPause:
    @on_both
    async def test_on_one_replica_holds_on_the_other(self, world: World) -> None:
        a, b = world.processes.values()
        await b.admin.pause("hourly")
        await world.live(8 * MINUTE)

        job = a.service.job("hourly")
        assert job is not None
        assert not job.enabled
        assert "hourly" not in {job for job, _, _ in await world.alerts()}

    async def test_ends_on_the_other(self, world: World) -> None:
        a, b = world.processes.values()
        await a.admin.pause("hourly")
        await world.look()
        await b.admin.resume("hourly")
        await world.live(8 * MINUTE)

        assert ("hourly", "missed", at("21 12:01")) in await world.alerts()


class TestAnAutoRegisteredJob:
    @on_both
    async def test_is_known_to_the_other_replica(self, world: World) -> None:
        a, b = world.processes.values()
        await a.report("new")
        await world.look()
        result = await b.report("new", outcome=Outcome.FAIL)
        await world.look()

        assert result.run is not None
        assert result.run.number == 2
        assert a.service.job("new") is not None
        assert a.open("new") == {"failing"}
        assert "new" in b.service.names

    @on_both
    async def test_is_known_at_once_by_its_next_report(self, world: World) -> None:
        """Without waiting for the next look at the changes."""
        a, b = world.processes.values()
        await a.report("new")
        result = await b.report("new")

        assert result.run is not None
        assert result.run.number == 2

    async def test_counts_towards_the_limit_of_the_service(
        self, backend: Backend, clock: ManualClock
    ) -> None:
        world = World(backend, clock, job_config(max_jobs=3))
        a, b = [await world.start(name) for name in ("a", "b")]
        for number, process in enumerate((a, b, a)):
            await process.report(f"job-{number}")

        for process in (a, b):
            with pytest.raises(UnknownJobError, match="the limit of 3 jobs"):
                await process.report("job-4")
        await world.close()

    @on_both
    async def test_has_the_description_that_the_other_replica_received(
        self, backend: Backend, clock: ManualClock
    ) -> None:
        def unknown(name: str, settings: str) -> Job:
            schedule = Every(60.0) if settings else None
            return Job(name=name, configured=False, schedule=schedule, grace=5.0)

        world = World(backend, clock, job_config(unknown=unknown))
        a, b = [await world.start(name) for name in ("a", "b")]
        await a.report("new")
        await world.look()
        await a.admin.describe("new", {"every": "1m"})
        await world.look()

        job = b.service.job("new")
        assert job is not None
        assert job.schedule == Every(60.0)
        await world.stop("a")
        await world.live(2 * MINUTE)
        assert b.open("new") == {"missed"}
        await world.close()

    @on_both
    async def test_that_is_retired_is_gone_from_the_other_replica(
        self, world: World
    ) -> None:
        a, b = world.processes.values()
        await a.report("new")
        await world.look()
        await b.admin.retire("new")
        await world.look()

        assert a.service.job("new") is None
        assert "new" not in a.service.names


class TestTheSameReport:
    @on_both
    async def test_to_both_replicas_counts_once(self, world: World) -> None:
        a, b = world.processes.values()
        first = await a.report("hourly", run_id="7")
        second = await b.report("hourly", run_id="7")

        assert not first.transition.duplicate
        assert second.transition.duplicate
        await world.look()
        assert a.state("hourly").recorded == b.state("hourly").recorded == 1

    @on_both
    async def test_of_a_start_and_its_end_are_one_run(self, world: World) -> None:
        a, b = world.processes.values()
        await a.report("slow", Kind.START, run_id="7")
        await world.live(90)
        result = await b.report("slow", run_id="7")

        assert result.run is not None
        assert result.run.duration == 90


class TestWindows:
    @on_both
    async def test_have_the_runs_of_all_replicas(self, world: World) -> None:
        """Every second run fails; each goes to the other replica."""
        processes = [*world.processes.values()]
        for number in range(9):
            outcome = Outcome.FAIL if number % 3 == 0 else Outcome.OK
            await processes[number % 2].report("flaky", outcome=outcome)
            await world.live(30)

        first, second = (one.state("flaky") for one in processes)
        assert first.success_ratio == second.success_ratio
        assert first.success_ratio is not None
        assert (first.success_ratio.ok, first.success_ratio.runs) == (6, 9)
        assert first.history == second.history
        assert first.ratio_until == second.ratio_until
        for process in processes:
            assert "success_ratio_low" in process.open("flaky")

    @on_both
    async def test_of_a_replica_that_starts_later_are_the_same(
        self, world: World
    ) -> None:
        for _ in range(4):
            await succeed(world, "flaky", "slow")
            await world.live(20)
        later = await world.start("c")
        await world.processes["a"].report("flaky", outcome=Outcome.FAIL)
        await world.look()

        assert (
            later.state("flaky").history == world.processes["a"].state("flaky").history
        )
        assert later.state("slow").history == world.processes["b"].state("slow").history

    @on_both
    async def test_make_a_slow_run_slow_whoever_hears_of_it(self, world: World) -> None:
        a, b = world.processes.values()
        for process in (a, b, a, b):
            await process.report("slow", duration=10.0)
            await world.live(20)
        await b.report("slow", duration=60.0)
        await world.look()

        assert a.open("slow") == b.open("slow") == {"slow"}


OLD = job_config(HOURLY, LOADING, unknown=None, digest="old", settle=2 * MINUTE)
NEW = job_config(
    replace(HOURLY, schedule=parse_cron("*/5 * * * *", "UTC")),
    unknown=None,
    digest="new",
    settle=2 * MINUTE,
)


class TestConfigurationsThatDiffer:
    @pytest.fixture
    async def world(self, backend: Backend, clock: ManualClock) -> AsyncIterator[World]:
        """A replica with the old configuration, and then one with the new one."""
        world = World(backend, clock, OLD)
        await world.start("a")
        await world.live(5)
        await world.start("b", NEW)
        yield world
        await world.close()

    async def test_are_none_once_the_old_replicas_have_stopped(
        self, world: World
    ) -> None:
        await world.live(60)
        assert world.processes["b"].state("loading").retired_at is None
        await world.stop("a")
        await world.live(10)

        assert world.processes["b"].state("loading").retired_at is not None

    @on_both
    async def test_retire_no_job_whoever_leads(self, world: World) -> None:
        await world.processes["a"].freeze()
        await world.live(6)
        assert world.leaders == ["b"]
        assert world.processes["b"].state("loading").retired_at is None
        await world.live(30)

        assert world.processes["b"].state("loading").retired_at is not None

    @on_both
    async def test_retire_a_job_once_they_agree(self, world: World) -> None:
        await world.live(60)
        for process in world.processes.values():
            assert process.state("loading").retired_at is None
        await world.processes["a"].service.reconfigure(NEW)
        await world.live(10)

        for process in world.processes.values():
            assert process.state("loading").retired_at is not None

    @on_both
    async def test_do_not_rewrite_a_schedule_in_turn(self, world: World) -> None:
        """Or each rewriting would begin to wait anew, and hide a miss."""
        a, b = world.processes.values()
        before = a.state("hourly").schedule
        for _ in range(4):
            await b.report("hourly", Kind.LOG, message="hello")
            await a.report("hourly", Kind.LOG, message="hello again")
            await world.live(60)
            for process in (a, b):
                assert process.state("hourly").schedule == before
                assert process.state("hourly").due_after == at("21 11:55")

    async def test_miss_a_run_by_the_old_schedule(self, world: World) -> None:
        for _ in range(8):
            await world.processes["b"].report("hourly", Kind.LOG, message="hello")
            await world.live(60)

        assert ("hourly", "missed", at("21 12:01")) in await world.alerts()
        b = world.processes["b"]
        assert b.open("hourly") == {"missed"}

    async def test_expect_no_run_by_a_schedule_that_another_replica_lacks(
        self, world: World
    ) -> None:
        entry = world.processes["b"].service.job_and_state("hourly")
        assert entry is not None
        settings = world.processes["b"].service.settings

        assert deadline(*entry, settings) == float("inf")

    async def test_use_the_new_schedule_once_they_agree(self, world: World) -> None:
        await world.live(60)
        await world.processes["a"].service.reconfigure(NEW)
        await world.live(3)
        for process in world.processes.values():
            assert process.state("hourly").schedule == "*/5 * * * * UTC"
        await world.live(10 * MINUTE)

        assert world.processes["b"].open("hourly") == {"missed"}


async def test_one_replica_of_a_service_does_all_work(
    backend: Backend, clock: ManualClock
) -> None:
    world = World(backend, clock, CONFIG)
    process = await world.start("a")
    await world.live(8 * MINUTE)

    assert process.open("hourly") == {"missed"}
    await process.service.reconfigure(JobConfig(digest="empty", unknown=None))
    assert process.state("hourly").retired_at is not None
    await world.close()


async def test_a_job_that_cannot_be_evaluated_holds_up_no_change_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = world.processes.values()
    plan = Service._plan

    def failing(service: Service, name: str) -> None:
        if name == "flaky":
            raise ZeroDivisionError
        plan(service, name)

    await a.report("flaky")
    await a.report("hourly")
    monkeypatch.setattr(Service, "_plan", failing)
    await world.look()

    assert b.state("hourly").recorded == 1
    assert set(b.service.take_failed_jobs()) == {"flaky"}


async def test_a_replica_that_does_not_lead_registers_the_jobs_it_alone_has(
    world: World,
) -> None:
    """So that they are there, whenever the others get their configuration."""
    more = replace(CONFIG, jobs={**CONFIG.jobs, "more": Job(name="more")}, digest="2")
    later = await world.start("c", more)
    await world.look()

    assert not later.leads
    assert later.state("more").configured
    assert world.processes["a"].service.job("more") is None


@pytest.mark.parametrize(
    ("job", "is_retired"), [("new", False), ("new", True), ("hourly", False)]
)
async def test_a_job_that_a_replaced_server_has_lost_is_new_again(
    backend: Backend, clock: ManualClock, job: str, is_retired: bool
) -> None:
    world = World(backend, clock, CONFIG)
    process = await world.start("a")
    await process.report(job)
    if is_retired:
        await process.admin.retire(job)
    store = process.store
    assert isinstance(store, ReplicaStore)
    before = store.states[job]
    del store.database.states[job]
    store.lose(job)

    assert job not in process.service.names or job in CONFIG.jobs
    result = await process.report(job)
    assert result.run is not None
    # The fake has kept the run itself.
    assert result.run.number == before.recorded
    await world.close()
