from __future__ import annotations

import asyncio

import pytest

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.duplicates import KEY_SIZE
from afterrun_exporter.core.model import Dependency, Job, Kind, Outcome
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.transitions import on_ping
from afterrun_exporter.engine.service import Service
from afterrun_exporter.engine.tracked_jobs import FAILED_JOB_PAUSE
from afterrun_exporter.errors import (
    StorageError,
    UnknownJobError,
    UnreadableStorageError,
)
from afterrun_exporter.storage.group_commit import Lost, Writes
from afterrun_exporter.storage.store import AlertFilter
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping, told
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config


class FullStore(MemoryStore):
    """A store whose disk is full whenever it is told to be."""

    full = False

    async def _write(self, writes: Writes) -> Lost:
        if self.full:
            raise StorageError("no space left on device")
        return await super()._write(writes)


async def test_a_configured_job_is_known_from_the_start(service: Service) -> None:
    assert service.job("backup") is BACKUP
    state = service.state("backup")
    assert state is not None
    assert state.created_at == at("21 12:00")


async def test_a_ping_is_answered_with_its_verdict(service: Service) -> None:
    verdict = await service.record(ping("21 12:00", metrics={"rows": 0, "size": 9999}))

    assert verdict.run is not None
    assert verdict.run.outcome is Outcome.VIOLATED
    assert told(verdict.deadline) == "22 02:30:00"


async def test_a_repeat_is_answered_with_what_was_recorded_first(
    service: Service,
) -> None:
    await service.record(ping("21 12:00", run_id="a", metrics={}))
    again = await service.record(ping("21 12:01", run_id="a"))

    assert again.transition.duplicate
    assert again.run is not None
    assert again.run.outcome is Outcome.VIOLATED


@pytest.mark.usefixtures("long_items")
async def test_others_have_turns_while_many_reports_are_followed_up(
    service: Service,
) -> None:
    turns: list[float] = []

    async def count_turns() -> None:
        while True:
            turns.append(1)
            await yield_to_loop()

    other = asyncio.create_task(count_turns())
    await service.record_all([ping("21 12:00", run_id=f"{n}") for n in range(200)])
    other.cancel()

    # One for each decision and one for what follows from it.
    assert len(turns) > 350


@pytest.mark.usefixtures("long_items")
async def test_what_follows_from_a_batch_does_not_undo_the_plan_of_a_later_report(
    store: MemoryStore, clock: ManualClock
) -> None:
    service = Service(store, clock, job_config(replace(BACKUP, max_runtime=600)))
    await service.start()

    await asyncio.gather(
        service.record_all([ping("21 12:00", run_id=f"{n}") for n in range(50)]),
        service.record(ping("21 12:00", kind=Kind.START, run_id="long")),
    )
    await clock.advance(660)

    assert await service.sweep() == 1


async def test_the_sweeper_notices_a_missed_run(
    service: Service, store: MemoryStore, clock: ManualClock
) -> None:
    clock.show(at("22 02:30"))
    await service.sweep()
    assert await store.alerts() == []

    clock.show(at("22 02:30:01"))
    await service.sweep()

    (alert,) = await store.alerts()
    assert alert.job == "backup"
    assert told(alert.opened_at) == "22 02:30:00"


async def test_a_sweep_that_finds_nothing_writes_nothing(
    service: Service, clock: ManualClock
) -> None:
    follower = service.follow()
    follower.take()
    clock.show(at("22 01:00"))

    assert await service.sweep() == 0
    assert follower.take() == set()


async def test_each_follower_is_told_of_every_change(service: Service) -> None:
    one, other = service.follow(), service.follow()
    everything = one.take()
    await service.record(ping("21 12:00"))

    # The other one has not asked yet; whoever comes later starts with all there are.
    assert everything == other.take() == service.follow().take() == {"backup"}
    assert one.take() == {"backup"}
    assert one.take() == other.take() == set()


async def test_misses_after_the_first_are_counted_too(
    service: Service, store: MemoryStore, clock: ManualClock
) -> None:
    for day in ("22", "23", "24"):
        clock.show(at(f"{day} 02:30:01"))
        await service.sweep()

    assert store.states["backup"].missed_total == 3
    assert len(await store.alerts()) == 1


class TestAnUnknownJob:
    async def test_is_registered_by_its_first_ping(self, service: Service) -> None:
        await service.record(ping("21 12:00", job="new"))

        assert service.job("new") == Job(name="new", configured=False)
        assert {job.name for job, _ in service.watched()} == {"backup", "new"}

    async def test_is_rejected_where_the_configuration_says_so(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = Service(store, clock, job_config(BACKUP, unknown=None))
        await service.start()

        with pytest.raises(UnknownJobError) as error:
            await service.record(ping("21 12:00", job="backpu"))

        assert str(error.value) == "unknown job 'backpu'; did you mean 'backup'?"
        assert "backpu" not in store.states

    async def test_is_rejected_when_there_are_too_many(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = Service(store, clock, job_config(BACKUP, max_jobs=2))
        await service.start()
        await service.record(ping("21 12:00", job="second"))
        await service.record(ping("21 12:00", job="second"))

        with pytest.raises(UnknownJobError, match=r"raise limits\.jobs"):
            await service.record(ping("21 12:00", job="third"))

    async def test_is_still_known_after_a_restart(
        self, service: Service, store: MemoryStore, clock: ManualClock
    ) -> None:
        await service.record(ping("21 12:00", job="new"))

        again = Service(store, clock, job_config(BACKUP))
        await again.start()

        assert again.job("new") is not None

    async def test_is_not_counted_when_it_could_not_be_stored(
        self, clock: ManualClock
    ) -> None:
        store = FullStore()
        service = Service(store, clock, job_config(max_jobs=1))
        await service.start()
        store.full = True
        with pytest.raises(StorageError):
            await service.record(ping("21 12:00", job="first"))
        store.full = False

        await service.record(ping("21 12:00", job="second"))

        assert service.job("first") is None
        assert service.job("second") is not None

    async def test_is_rejected_in_a_batch_as_far_as_there_is_no_room(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = Service(store, clock, job_config(BACKUP, max_jobs=3))
        await service.start()

        names = ("a", "a", "b", "c", "backup", "d")
        results = await service.record_all(
            [ping(f"21 12:0{n}", job=name) for n, name in enumerate(names)]
        )

        refused = [isinstance(result, UnknownJobError) for result in results]
        assert refused == [False, False, False, True, False, True]


class TestABatch:
    async def test_harms_no_ping_by_another(self, service: Service) -> None:
        service.job_config = replace(service.job_config, unknown=None)

        results = await service.record_all(
            [ping("21 12:00", job="nobody"), ping("21 12:01")]
        )

        assert isinstance(results[0], UnknownJobError)
        assert not isinstance(results[1], Exception)

    async def test_takes_many_pings_of_one_job_in_their_order(
        self, service: Service, store: MemoryStore
    ) -> None:
        await service.record_all(
            [ping(f"21 12:00:{second:02}", run_id=str(second)) for second in range(60)]
        )

        assert [run.run_id for run in await store.runs("backup", 2)] == ["59", "58"]
        assert store.states["backup"].runs_total == 60


class TestAChangeOfTheConfiguration:
    async def test_retires_a_job_that_has_left(
        self, service: Service, store: MemoryStore, clock: ManualClock
    ) -> None:
        follower = service.follow()
        await service.record(ping("21 12:00", outcome=Outcome.FAIL))
        clock.show(at("21 13:00"))
        follower.take()
        await service.reconfigure(job_config())

        assert service.job("backup") is None
        (alert,) = await store.alerts()
        assert alert.resolved_at == at("21 13:00")
        assert follower.take() >= {"backup"}

    @pytest.mark.usefixtures("service")
    async def test_also_while_the_daemon_was_not_running(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        again = Service(store, clock, job_config())
        await again.start()

        assert again.job("backup") is None
        assert store.states["backup"].retired_at is not None

    async def test_leaves_alone_what_only_pings_have_named(
        self, service: Service
    ) -> None:
        await service.record(ping("21 12:00", job="new"))
        await service.reconfigure(job_config())

        assert service.job("new") is not None

    async def test_a_retired_job_that_still_reports_is_taken_as_it_comes(
        self, service: Service, store: MemoryStore
    ) -> None:
        await service.record(ping("21 12:00"))
        await service.reconfigure(job_config())
        verdict = await service.record(ping("21 12:30"))

        job = service.job("backup")
        assert job is not None
        assert job.schedule is None
        assert verdict.run is not None
        assert verdict.run.number == 2
        assert store.states["backup"].retired_at is None

    async def test_judges_by_the_new_rules_at_once(self, service: Service) -> None:
        await service.reconfigure(job_config(replace(BACKUP, rules=())))
        verdict = await service.record(ping("21 12:00", metrics={}))

        assert verdict.run is not None
        assert verdict.run.outcome is Outcome.OK

    async def test_wakes_by_the_new_schedule(
        self, service: Service, store: MemoryStore, clock: ManualClock
    ) -> None:
        hourly = replace(BACKUP, schedule=parse_cron("0 * * * *", "UTC"), grace=60)
        await service.reconfigure(job_config(hourly))
        clock.show(at("21 13:01:01"))
        await service.sweep()

        assert store.states["backup"].missed_total == 1

    async def test_that_cannot_be_stored_changes_nothing(
        self, clock: ManualClock
    ) -> None:
        store = FullStore()
        service = Service(store, clock, job_config(BACKUP))
        await service.start()
        store.full = True

        with pytest.raises(StorageError):
            await service.reconfigure(job_config())

        assert service.job("backup") is BACKUP
        assert service.storage_errors == 1


class TestTrouble:
    async def test_a_job_that_cannot_be_judged_at_the_start_is_told(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        class Broken:
            text, period = "broken", 60.0

            def next_after(self, instant: float) -> float:
                raise RuntimeError(f"no slot after {instant}")

        broken = replace(BACKUP, name="broken", schedule=Broken())
        service = Service(store, clock, job_config(broken, BACKUP))
        await service.start()

        assert set(service.take_failed_jobs()) == {"broken"}
        assert service.state("backup") is not None

    async def test_a_miss_that_could_not_be_stored_is_noticed_again(
        self, clock: ManualClock
    ) -> None:
        store = FullStore()
        service = Service(store, clock, job_config(BACKUP))
        await service.start()
        clock.show(at("22 02:30:01"))

        store.full = True
        with pytest.raises(StorageError):
            await service.sweep()
        store.full = False
        await service.sweep()

        assert len(await store.alerts()) == 1

    async def test_a_job_that_cannot_be_judged_does_not_stop_the_others(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        class Broken:
            text, period = "broken", 60.0

            def next_after(self, instant: float) -> float:
                if instant >= at("22 02:00"):
                    raise RuntimeError("no such slot")
                return at("22 02:00")

        broken = replace(BACKUP, name="broken", schedule=Broken())
        service = Service(store, clock, job_config(broken, BACKUP))
        await service.start()
        assert service.take_failed_jobs() == {}

        clock.show(at("22 02:30:01"))
        await service.sweep()

        assert [alert.job for alert in await store.alerts()] == ["backup"]
        assert set(service.take_failed_jobs()) == {"broken"}
        clock.show(clock.now() + FAILED_JOB_PAUSE / 2)
        await service.sweep()
        assert service.take_failed_jobs() == {}


async def test_replaying_a_log_of_pings_gives_the_same_state(
    service: Service, store: MemoryStore
) -> None:
    pings = [
        ping("21 12:00", run_id="a"),
        ping("21 12:10", run_id="b", outcome=Outcome.FAIL),
        ping("21 12:20", run_id="b"),
        ping("22 03:00", run_id="c", metrics={}),
    ]
    for one in pings:
        await service.record(one)

    replayed = Service(MemoryStore(), ManualClock(at("21 12:00")), job_config(BACKUP))
    await replayed.start()
    state = replayed.state("backup")
    assert state is not None
    for one in pings:
        state = on_ping(BACKUP, state, one, replayed.settings).state

    assert state == store.states["backup"]


class TestWatchedJobs:
    async def test_are_read_by_name_with_their_history(self, service: Service) -> None:
        await service.record(ping("21 12:00", metrics={}))
        await service.record(ping("21 12:00", job="other"))

        assert [job.name async for job, _ in service.each()] == ["backup", "other"]
        assert service.all_names() == ["backup", "other"]
        assert service.all_names(skip=1) == ["other"]
        assert service.job_count == 2
        assert [run.number for run in await service.runs("other", 9)] == [1]
        (first, _) = await service.alerts(AlertFilter())
        assert first.job == "backup"

    async def test_that_have_left_are_not_among_them(self, service: Service) -> None:
        await service.reconfigure(job_config())

        assert [job.name async for job, _ in service.each()] == []
        assert service.all_names() == ["backup"]
        assert service.state("backup") is None

    async def test_are_found_by_the_names_of_other_systems(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        job = replace(BACKUP, display_name="Nightly backup", ping_uuid="u-1")
        service = Service(store, clock, job_config(job))

        assert [*service.called("slug", "nightly-backup")] == [job]
        assert service.named_by("u-1") == "backup"
        assert service.described("backup") is job
        assert service.described("unknown") is None


class TestKeysOfAllRuns:
    async def test_are_read_where_the_state_has_some_only(
        self, clock: ManualClock
    ) -> None:
        service = Service(MemoryStore(key_memory=0), clock, job_config(BACKUP))
        await service.start()
        for minute in range(80):
            when = f"21 {12 + minute // 60}:{minute % 60:02}"
            await service.record(ping(when, run_id=f"r{minute}"))
        before = service.state("backup")
        assert before is not None
        assert len(before.run_keys) < 80 * KEY_SIZE

        state = await service.recalled("backup")

        assert state is not None
        assert len(state.run_keys) == 80 * KEY_SIZE

    async def test_are_those_of_the_state_where_it_has_all(
        self, service: Service
    ) -> None:
        assert await service.recalled("backup") is service.state("backup")
        assert await service.recalled("unknown") is None


class TestTheDatabase:
    async def test_that_was_replaced_is_an_outage(
        self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = MemoryStore()
        service = Service(store, clock, job_config(BACKUP))
        await service.start()

        async def replaced() -> None:
            raise StorageError("afterrun.db was replaced")

        monkeypatch.setattr(store, "check", replaced)
        await service.check_storage()

        assert service.downtimes.is_refusing

    async def test_that_cannot_be_read_for_one_job_is_none(
        self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = MemoryStore()
        service = Service(store, clock, job_config(BACKUP))
        await service.start()

        async def unreadable() -> None:
            raise UnreadableStorageError("row 7 is broken")

        monkeypatch.setattr(store, "check", unreadable)
        await service.check_storage()

        assert not service.downtimes.is_refusing


async def test_a_job_that_left_after_its_check_was_planned_is_not_checked(
    service: Service, clock: ManualClock
) -> None:
    await service.record(ping("21 12:00", job="stray"))
    await service.reconfigure(job_config(BACKUP, Job(name="limited", max_runtime=60.0)))
    await service.record(ping("21 12:00", Kind.START, job="limited"))
    await service.reconfigure(job_config(BACKUP))
    clock.show(at("21 13:00"))

    assert await service.sweep() == 0


async def test_the_decision_on_a_job_that_has_left_is_refused(service: Service) -> None:
    with pytest.raises(UnknownJobError, match="job 'gone' has left the configuration"):
        service.decisions.wake("gone", at("21 12:00"))(None)


async def test_repeats_in_a_batch_are_answered_with_their_runs(
    service: Service,
) -> None:
    for minute in range(3):
        await service.record(ping(f"21 12:0{minute}", run_id=f"r{minute}"))

    again = await service.record_all(
        [ping("21 12:05", run_id="r0"), ping("21 12:05", run_id="r2")]
    )

    assert [
        one.run and one.run.number for one in again if not isinstance(one, Exception)
    ] == [1, 3]


async def test_a_job_that_requires_one_that_fails_is_checked_at_once(
    store: MemoryStore, clock: ManualClock
) -> None:
    report = Job(
        name="report", depends_on=(Dependency("ingest", requires_success=True),)
    )
    service = Service(store, clock, job_config(Job(name="ingest"), report))
    await service.start()

    await service.record(ping("21 12:00", job="ingest", outcome=Outcome.FAIL))
    await service.sweep()

    state = service.state("report")
    assert state is not None
    assert state.upstream == ("ingest",)
