"""A report counts once, however it is batched and however often it is sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Settings
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.storage.run_keys import CHUNK, KeysInMemory
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Change, Decide, Store
from tests.examples import examples
from tests.fakes import MemoryStore
from tests.storage.conftest import PostgresStorage
from tests.storage.decisions import T0, fresh

DAY: Final = 86_400.0
SETTINGS: Final = Settings()


def finish(run_id: str | None, job: str = "backup", at: float = T0) -> Ping:
    return Ping(job=job, kind=Kind.FINISH, at=at, run_id=run_id)


def taking(ping: Ping) -> Decide:
    job = Job(name=ping.job, max_runtime=60.0)

    def decide(state: JobState | None) -> Transition:
        return on_ping(job, state or registered(job, ping.at), ping, SETTINGS)

    return decide


async def report(store: Store, pings: Sequence[Ping]) -> list[Transition]:
    """Report *pings* in one batch."""
    results = await store.update_all([Change(one.job, taking(one)) for one in pings])
    return [result for result in results if isinstance(result, Transition)]


@pytest.fixture(
    params=["memory", "sqlite", "sqlite, little memory", "postgres, little memory"]
)
def opening(
    request: pytest.FixtureRequest, path: Path
) -> AbstractAsyncContextManager[Store]:
    if request.param == "memory":
        return opened_memory()
    if "postgres" in request.param:
        storage = PostgresStorage(request.getfixturevalue("emptied_database"))
        return storage(key_memory=0)
    return SQLiteStore.open(path, key_memory=0 if "little" in request.param else 9999)


@asynccontextmanager
async def opened_memory() -> AsyncIterator[Store]:
    yield MemoryStore(key_memory=0)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 100, 1000])
async def test_a_batch_that_is_sent_again_counts_once(
    opening: AbstractAsyncContextManager[Store], size: int
) -> None:
    """Each is answered with the number of the run that it repeats."""
    batch = [finish(f"run-{number}") for number in range(size)]
    async with opening as store:
        first = await report(store, batch)
        again = await report(store, batch)

        assert [made.duplicate for made in first] == [False] * size
        assert [made.duplicate_of for made in again] == [*range(1, size + 1)]
        assert store.states["backup"].runs_total == size
        assert store.states["backup"].duplicates_total == size


async def test_a_batch_that_holds_itself_twice_counts_once(
    opening: AbstractAsyncContextManager[Store],
) -> None:
    batch = [finish(f"run-{number}") for number in range(100)]
    async with opening as store:
        results = await report(store, batch + batch)

        assert sum(made.duplicate for made in results) == 100
        assert len(await store.runs("backup", 999)) == 100


async def test_runs_without_an_id_do_not_hide_those_with_one(
    opening: AbstractAsyncContextManager[Store],
) -> None:
    """Their keys are not stored, and the others keep their numbers."""
    async with opening as store:
        for number in range(5):
            unnamed = [
                Ping(job="backup", kind=Kind.FINISH, at=T0, fingerprint=b"%d" % one)
                for one in range(number * 50, number * 50 + 50)
            ]
            await report(store, [*unnamed, finish(f"run-{number}")])

        again = await report(store, [finish(f"run-{number}") for number in range(5)])
        assert [made.duplicate_of for made in again] == [51, 102, 153, 204, 255]


async def test_no_start_opens_a_run_again_that_has_ended(
    opening: AbstractAsyncContextManager[Store],
) -> None:
    """However many have ended since, and be it that it was given up."""
    start = Ping(job="backup", kind=Kind.START, at=T0, run_id="given up")
    later = Ping(job="backup", kind=Kind.START, at=T0 + 3600, run_id="next")
    async with opening as store:
        await report(
            store, [start, finish("first"), later, finish("next", at=T0 + 3601)]
        )
        await report(store, [finish(f"run-{n}", at=T0 + 3602) for n in range(200)])
        starts = [
            Ping(job="backup", kind=Kind.START, at=T0 + 3603, run_id=run_id)
            for run_id in ("given up", "first", "next", "run-7")
        ]
        results = await report(store, starts)

        assert [made.duplicate_of for made in results] == [2, 1, 3, 11]
        assert store.states["backup"].open_runs == ()
        late = await report(store, [finish("given up", at=T0 + 3604)])
        assert not late[0].duplicate


async def test_what_is_pruned_is_forgotten(
    opening: AbstractAsyncContextManager[Store],
) -> None:
    """But for the last few: an id may be used again after the retention."""
    async with opening as store:
        old = [finish(f"old-{number}") for number in range(CHUNK * 4)]
        new = [finish(f"new-{n}", at=T0 + DAY) for n in range(CHUNK * 3)]
        await report(store, old)
        await report(store, new)
        assert await store.prune(T0 + 1, 1000) == len(old)

        (first, *_) = await report(store, [old[0]])
        assert not first.duplicate
        again = await report(store, new)
        assert all(made.duplicate for made in again)

        assert await store.prune(0.0, CHUNK) == CHUNK * 2 + 1
        (first,) = await report(store, [new[0]])
        assert not first.duplicate


async def test_a_job_takes_nothing_of_another(
    opening: AbstractAsyncContextManager[Store],
) -> None:
    async with opening as store:
        both = [
            finish(f"run-{n}", job) for n in range(100) for job in ("backup", "sync")
        ]
        await report(store, both)
        again = await report(store, [finish("run-7", "sync"), finish("run-8", "other")])

        assert [made.duplicate_of for made in again] == [8, 0]


def test_the_keys_of_those_that_reported_last_stay_in_memory() -> None:
    size = 8 * 100
    states = {f"job-{n}": fresh(run_keys=b"k" * size, runs_total=100) for n in range(4)}
    keys = KeysInMemory(states, 3 * size)
    for name in ("job-0", "job-1", "job-2", "job-0", "job-3"):
        keys.note({name: states[name]})
        keys.make_room()

    short = [name for name, state in states.items() if len(state.run_keys) < size]
    assert short == ["job-1"]
    keys.forget(["job-0", "job-3", "unknown"])
    keys.note({"job-1": fresh(run_keys=b"k" * 2 * size)})
    keys.make_room()
    assert len(states["job-2"].run_keys) == size


reports = st.lists(
    st.one_of(
        # New runs, in one batch: how many, and with a start or not.
        st.tuples(st.integers(1, 50), st.sampled_from(["finish", "both", "unnamed"])),
        # One of the batches before, sent again whole, or together with the next.
        st.tuples(st.integers(0, 20), st.sampled_from(["again", "held"])),
        st.just((0, "restart")),
    ),
    max_size=12,
)


@settings(max_examples=examples(30))
@given(reports)
async def test_every_run_counts_once(steps: list[tuple[int, str]]) -> None:
    """Whatever is sent again, together with what, and after which restarts."""
    numbers = count(1)
    sent: list[list[Ping]] = []
    held: list[Ping] = []
    finished: dict[str, int] = {}
    total = 0
    with TemporaryDirectory() as folder:
        path = Path(folder) / "afterrun.db"
        async with Restarting(path) as stores:
            for size, what in steps:
                if what == "restart":
                    await stores.restart()
                    continue
                if what in {"again", "held"}:
                    batch = sent[size % len(sent)] if sent else []
                    if what == "held":
                        held = batch
                        continue
                else:
                    batch = new_runs(numbers, size, what)
                    sent.append(batch)
                batch, held = [*held, *batch], []
                results = [await report(store, batch) for store in stores.all]
                memory, disk = ([answer(one) for one in made] for made in results)
                assert memory == disk
                for ping, made in zip(batch, results[0], strict=True):
                    if ping.run_id is None:
                        total += made.run is not None
                    elif ping.kind is Kind.FINISH:
                        known = finished.get(ping.run_id, 0)
                        assert made.duplicate_of == known
                        total += not known
                        finished.setdefault(ping.run_id, total)
                    else:
                        assert made.duplicate is (ping.run_id in finished)
            for store in stores.all:
                if state := store.states.get("backup"):
                    assert state.runs_total == total
                    assert not state.open_runs


def answer(made: Transition) -> tuple[object, ...]:
    """Return what a client is told of *made*."""
    return made.duplicate, made.duplicate_of, made.run


def new_runs(numbers: count[int], size: int, what: str) -> list[Ping]:
    """Return the reports of *size* more runs."""
    runs = []
    for number in (next(numbers) for _ in range(size)):
        run_id = None if what == "unnamed" else f"run-{number}"
        start = Ping(job="backup", kind=Kind.START, at=T0, run_id=run_id)
        end = Ping(
            job="backup",
            kind=Kind.FINISH,
            at=T0,
            run_id=run_id,
            outcome=Outcome.OK,
            fingerprint=b"%d" % number,
        )
        runs += [start, end] if what == "both" else [end]
    return runs


class Restarting:
    """A store on disk that is opened again and again, beside one without a disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory = MemoryStore(key_memory=0)

    async def __aenter__(self) -> Self:
        self._open = SQLiteStore.open(self._path, key_memory=2000)
        self.all: tuple[Store, Store] = (self._memory, await self._open.__aenter__())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.__aexit__(None, None, None)

    async def restart(self) -> None:
        await self.__aexit__()
        await self.__aenter__()
