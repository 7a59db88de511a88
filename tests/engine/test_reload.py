"""A reload takes its time, and pings come in meanwhile: each step lets some in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from afterrun_exporter import clock as clocks
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Condition, Job, Outcome
from afterrun_exporter.core.transitions import on_clock
from afterrun_exporter.engine import job_registry
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError, UnknownJobError
from afterrun_exporter.storage.group_commit import Lost, Writes
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.engine.test_service import FullStore
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

FILE = [replace(BACKUP, name=f"file-{n}", after_failures=9) for n in range(6)]
STRAY = [f"stray-{n}" for n in range(6)]


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything else have its turn after each job."""
    monkeypatch.setattr(clocks, "STEP", 0.0)


class HeldStore(MemoryStore):
    """A store whose disk takes its time when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def _write(self, writes: Writes) -> Lost:
        self.busy.set()
        await self.free.wait()
        return await super()._write(writes)


def stricter(name: str, said: str = "") -> Job:  # noqa: ARG001 - nothing is
    return Job(name=name, configured=False, severity="critical", after_failures=1)


async def running(store: MemoryStore, clock: ManualClock, *strays: str) -> Service:
    """Return a service that has the jobs of the file, and some that pinged."""
    service = Service(store, clock, job_config(*FILE))
    await service.start()
    for name in strays:
        await service.record(ping("21 12:00", job=name))
    return service


async def reload_among_pings(
    service: Service, new: JobConfig, names: Sequence[str], outcome: Outcome
) -> None:
    """Reload, and meanwhile have each of these jobs report twice, in turn."""
    reload = asyncio.create_task(service.reconfigure(new))
    meanwhile = 0
    for name in names:
        meanwhile += not reload.done()
        for run_id, how in (("a", Outcome.OK), ("b", outcome)):
            report = ping("21 12:30", job=name, run_id=run_id, outcome=how)
            await service.record(report)
    await reload
    assert meanwhile > 3


@pytest.mark.parametrize("step", range(2 * len(FILE)))
async def test_who_reports_meanwhile_is_judged_by_the_new_rules_in_the_end(
    store: MemoryStore, clock: ManualClock, step: int
) -> None:
    """Whether a report came before, between or after them, nothing is overlooked."""
    service = await running(store, clock, *STRAY)
    clock.show(at("21 12:30"))
    names = [*(job.name for job in FILE), *STRAY]
    after = [replace(job, after_failures=1) for job in FILE]
    new = job_config(*after, unknown=stricter)

    in_turn = names[step:] + names[:step]
    await reload_among_pings(service, new, in_turn, Outcome.FAIL)
    await service.sweep()

    for name in names:
        entry = service.job_and_state(name)
        assert entry is not None
        job, state = entry
        assert job.after_failures == 1
        assert [alert.key.condition for alert in state.alerts] == [Condition.FAILING]
        assert on_clock(job, state, clock.now(), service.settings).alerts == ()


@pytest.mark.parametrize("step", range(2 * len(STRAY)))
async def test_who_comes_meanwhile_stays(
    store: MemoryStore, clock: ManualClock, step: int
) -> None:
    """Also with jobs that were retired when the reload came past them."""
    service = await running(store, clock, *STRAY)
    await service.reconfigure(job_config(*FILE, unknown=None))
    assert service.job(STRAY[0]) is None
    await service.reconfigure(job_config(*FILE))

    names = [name for n, old in enumerate(STRAY) for name in (old, f"new-{n}")]
    names = names[step:] + names[:step]
    new = job_config(*FILE, unknown=stricter)
    await reload_among_pings(service, new, names, Outcome.OK)

    for name in names:
        assert service.job(name) == stricter(name)
    told = {job.name for job, _ in service.watched()}
    assert told == {*names, *(job.name for job in FILE)}


async def test_a_job_that_fails_under_the_rules_before_is_caught_up_with(
    clock: ManualClock,
) -> None:
    """Its report waits for the disk while the reload looks it over."""
    store = HeldStore()
    service = await running(store, clock)
    store.busy.clear()
    store.free.clear()
    failed = ping("21 12:00", job="file-3", outcome=Outcome.FAIL)
    report = asyncio.create_task(service.record(failed))
    await store.busy.wait()
    new = job_config(*(replace(job, after_failures=1) for job in FILE))
    reload = asyncio.create_task(service.reconfigure(new))
    for _ in range(100):
        await yield_to_loop()
    store.free.set()
    await asyncio.gather(report, reload)

    state = service.state("file-3")
    assert state is not None
    assert [alert.key.condition for alert in state.alerts] == [Condition.FAILING]


async def test_a_reload_that_cannot_be_stored_shows_nobody_what_it_would_have_been(
    clock: ManualClock,
) -> None:
    store = FullStore()
    service = await running(store, clock, *STRAY)
    follower = service.follow()
    follower.take()
    store.full = True

    with pytest.raises(StorageError):
        await service.reconfigure(job_config(*FILE[1:], unknown=stricter))

    assert service.job(STRAY[0]) == Job(name=STRAY[0], configured=False)
    assert follower.take() >= {*STRAY, *(job.name for job in FILE)}


async def test_a_job_that_is_fine_is_not_written_and_looked_at_in_time(
    store: MemoryStore, clock: ManualClock
) -> None:
    service = await running(store, clock)
    before = dict(store.states)
    await service.reconfigure(job_config(*FILE, unknown=None))

    assert all(store.states[name] is state for name, state in before.items())
    clock.show(at("22 02:30:01"))
    assert await service.sweep() == len(FILE)
    assert len(await store.alerts()) == len(FILE)


@pytest.mark.parametrize("unknown", [None, stricter])
async def test_who_is_being_registered_is_what_the_new_file_makes_of_it(
    clock: ManualClock, unknown: Callable[[str, str], Job] | None
) -> None:
    """Its first report waits for the disk when the reload has come past it."""
    store = HeldStore()
    service = await running(store, clock)
    store.busy.clear()
    store.free.clear()
    report = asyncio.create_task(service.record(ping("21 12:00", job="new")))
    await store.busy.wait()
    reload = asyncio.create_task(
        service.reconfigure(job_config(*FILE, unknown=unknown))
    )
    while service.job_config.unknown is not unknown:
        await yield_to_loop()
    store.free.set()
    await asyncio.gather(report, reload)

    assert service.job("new") == (unknown("new", "") if unknown else None)


async def test_who_comes_during_a_reload_that_fails_stays(clock: ManualClock) -> None:
    """Whoever was told that a report was taken can count on it."""
    store = HeldStore()
    service = await running(store, clock)
    reload = asyncio.create_task(service.reconfigure(job_config(unknown=stricter)))
    while service.job_config.jobs:
        await yield_to_loop()
    await service.record(ping("21 12:00", job="new"))
    assert not reload.done()
    reload.cancel()
    await asyncio.gather(reload, return_exceptions=True)

    assert service.job("new") == Job(name="new", configured=False)


async def test_who_comes_while_the_names_are_put_in_order_is_there_in_the_end(
    store: MemoryStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its place among them."""
    monkeypatch.setattr(job_registry, "STEP", 1)
    service = await running(store, clock, *STRAY)
    new = [f"{mark}-{n}" for n in range(20) for mark in ("a", "s", "z")]

    await reload_among_pings(service, job_config(*FILE), new, Outcome.OK)

    everybody = [*STRAY, *new, *(job.name for job in FILE)]
    assert list(service.names) == sorted(everybody)
    assert {job.name for job, _ in service.watched()} == set(everybody)


@pytest.mark.parametrize("count", [10, 100])
async def test_a_reload_renders_only_the_jobs_that_change(
    store: MemoryStore, clock: ManualClock, count: int
) -> None:
    """The rest stays the same object, in memory once, however many jobs there are."""
    jobs = [replace(BACKUP, name=f"job-{n}") for n in range(count)]
    service = Service(store, clock, job_config(*jobs))
    await service.start()
    await service.record(ping("21 12:00", job="stray"))
    changes = service.follow()
    changes.take()
    again = [replace(job, grace=job.grace) for job in jobs]
    again[3] = replace(jobs[3], severity="critical")

    await service.reconfigure(job_config(*again))

    assert changes.take() == {"job-3"}
    assert service.job("job-2") is jobs[2]
    assert service.job("job-3") is again[3]


async def test_a_reload_renders_all_jobs_if_a_setting_of_all_changes(
    store: MemoryStore, clock: ManualClock
) -> None:
    service = await running(store, clock)
    changes = service.follow()
    changes.take()
    settings = replace(service.job_config.settings, min_visible=300.0)

    await service.reconfigure(job_config(*FILE, settings=settings))

    assert changes.take() == {job.name for job in FILE}


async def test_updating_the_announcements_of_all_jobs_lets_pings_in_between(
    store: MemoryStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading 100,000 jobs at once would keep them waiting, twice in each reload."""
    service = await running(store, clock, *STRAY)
    monkeypatch.setattr(service, "watched", None)
    update = asyncio.create_task(
        JobAdmin(service, clock).announce_successes({"file-1", "stray-1"})
    )
    turns = 0
    while not update.done():
        await yield_to_loop()
        turns += 1
    await update

    assert turns > len(service.names)
    states = store.states.items()
    assert [n for n, s in states if s.announces_success] == ["file-1", "stray-1"]


async def test_who_comes_during_a_reload_that_rejects_unknown_jobs_is_unknown_then(
    store: MemoryStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_registry, "STEP", 1)
    service = await running(store, clock)
    new = [f"new-{n}" for n in range(60)]

    reload = asyncio.create_task(service.reconfigure(job_config(*FILE, unknown=None)))
    with suppress(UnknownJobError):
        for name in new:
            await service.record(ping("21 12:30", job=name))
    await reload

    assert list(service.names) == sorted(job.name for job in FILE)


async def test_a_job_that_cannot_be_judged_after_a_reload_is_told(
    store: MemoryStore, clock: ManualClock
) -> None:
    class Breaking:
        text, period, works = "breaking", 60.0, True

        def next_after(self, instant: float) -> float:
            if not self.works:
                raise RuntimeError("no such slot")
            return instant + self.period

    schedule = Breaking()
    job = replace(BACKUP, schedule=schedule)
    service = Service(store, clock, job_config(job))
    await service.start()
    schedule.works = False

    await service.reconfigure(job_config(replace(job, description="The same")))

    assert set(service.take_failed_jobs()) == {"backup"}
