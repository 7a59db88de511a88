"""What the store in one SQLite file promises beyond what every store does."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Change, Decide, update
from tests.e2e.daemon.disks import SmallDisk, small_disk
from tests.storage.decisions import (
    FAILING,
    MISSED,
    T0,
    known,
    missed_once_more,
    opened,
    ran,
)
from tests.storage.files import ask, size_of


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore.open(path) as opened_store:
        yield opened_store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


async def on_writer(store: SQLiteStore, sql: str) -> list[tuple[object, ...]]:
    """Return what *sql* says on the writing connection, on its own thread."""
    loop = asyncio.get_running_loop()
    connection = store._writer._connection
    return await loop.run_in_executor(
        store._thread, lambda: connection.execute(sql).fetchall()
    )


async def written_until_refused(store: SQLiteStore, decide: Decide) -> int:
    """Return how many updates were taken before one was not."""
    taken = 0
    while True:
        try:
            await update(store, "backup", decide)
        except StorageError:
            return taken
        taken += 1


def scribble_over(path: Path) -> None:
    """Leave nothing but the first page as it was."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size_of(path) - 4096))


# --- The file


async def test_a_commit_waits_for_the_disk(store: SQLiteStore) -> None:
    """FULL: what was answered survives a power cut, and not only a crash."""
    assert await on_writer(store, "PRAGMA journal_mode") == [("wal",)]
    assert await on_writer(store, "PRAGMA synchronous") == [(2,)]


async def test_people_may_look_into_the_database_meanwhile(
    store: SQLiteStore, path: Path
) -> None:
    """With any SQLite tool; what was answered is there to be seen."""
    await update(store, "backup", ran(metrics={"rows": 7.0}))

    rows = ask(
        path,
        "SELECT name, number, outcome, metrics FROM runs r JOIN jobs j ON j.id = job_id",
    )

    assert rows == [("backup", 1, "ok", '{"rows":7.0}')]


async def test_the_size_counts_what_is_not_in_the_main_file_yet(
    store: SQLiteStore, path: Path
) -> None:
    """New rows are in the write-ahead log first."""
    before = store.size()

    await update(store, "backup", ran(message="x" * 100_000))

    assert store.size() >= before + 100_000
    assert size_of(path) < 100_000


async def test_every_commit_is_timed(path: Path) -> None:
    """And what changes nothing is no commit."""
    seconds: list[float] = []
    async with SQLiteStore.open(path, seconds.append) as store:
        await update(store, "backup", ran())
        await store.update_all([])
        await update(store, "backup", known())

    assert len(seconds) == 1
    assert seconds[0] > 0


# --- Commits that fail


async def test_a_commit_that_fails_changes_nothing(store: SQLiteStore) -> None:
    """A file that may not grow: the real error of SQLite, where it arises."""
    await update(store, "backup", ran())
    ((pages,),) = await on_writer(store, "PRAGMA page_count")
    await on_writer(store, f"PRAGMA max_page_count = {pages}")
    before = dict(store.states)

    with pytest.raises(StorageError, match="database or disk is full"):
        await store.update_all(
            [Change("backup", ran(message="x" * 100_000)), Change("sync", ran())]
        )

    assert store.states == before
    assert [run.number for run in await store.runs("backup", 10)] == [1]
    assert await store.runs("sync", 10) == []


async def test_when_there_is_room_again_it_goes_on(store: SQLiteStore) -> None:
    """Without a restart, and with the numbers that were not used."""
    ((pages,),) = await on_writer(store, "PRAGMA page_count")
    await on_writer(store, f"PRAGMA max_page_count = {pages}")
    await written_until_refused(store, ran(message="x" * 100_000))

    await on_writer(store, "PRAGMA max_page_count = 1000000")
    await store.update_all([Change("backup", ran()), Change("sync", ran())])

    numbers = [run.number for run in await store.runs("backup", 10)]
    assert numbers == list(range(store.states["backup"].runs_total, 0, -1))
    assert len(await store.runs("sync", 10)) == 1


async def test_a_full_disk_loses_nothing_that_was_stored(disk: SmallDisk) -> None:
    """Every run that was answered is there, during, after, and after a restart."""
    path = disk.path / "afterrun.db"
    chatty = ran(message="x" * 5_000)
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", opened(FAILING))
        disk.fill(leave=500_000)
        taken = await written_until_refused(store, chatty)
        disk.fill()
        taken += await written_until_refused(store, chatty)

        assert taken > 10
        assert store.states["backup"].runs_total == taken
        assert len(await store.runs("backup", 9999)) == taken

        disk.make_room()
        await update(store, "backup", chatty)

    async with SQLiteStore.open(path) as store:
        assert store.states["backup"].runs_total == taken + 1
        assert len(await store.runs("backup", 9999)) == taken + 1
        assert [alert.key for alert in await store.alerts()] == [FAILING]


async def test_all_who_share_a_failing_commit_are_told(disk: SmallDisk) -> None:
    """And nobody is told that it went well."""
    async with SQLiteStore.open(disk.path / "afterrun.db") as store:
        await update(store, "backup", ran())
        disk.fill()
        before = dict(store.states)

        answers = await asyncio.gather(
            *(update(store, f"job-{n}", ran(message="x" * 50_000)) for n in range(20)),
            return_exceptions=True,
        )

        assert all(isinstance(answer, StorageError) for answer in answers)
        assert store.states == before


async def test_pruning_a_full_disk_is_refused_or_done(disk: SmallDisk) -> None:
    """It never leaves half of a step, and it can be done again later."""
    async with SQLiteStore.open(disk.path / "afterrun.db") as store:
        disk.fill(leave=500_000)
        taken = await written_until_refused(store, ran(message="x" * 5_000))
        disk.fill()
        with suppress(StorageError):
            await store.prune(T0 + 1, 1)
        disk.make_room()
        await store.prune(T0 + 1, 1)

        assert [run.number for run in await store.runs("backup", 10)] == [taken]


async def test_somebody_who_writes_to_the_database_is_waited_for_and_then_blamed(
    store: SQLiteStore, path: Path
) -> None:
    """A tool that holds its lock costs the pings of that time, and no others."""
    await on_writer(store, "PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="database is locked"):
            await update(store, "backup", ran())
        other.execute("ROLLBACK")

    await update(store, "backup", ran())

    assert store.states["backup"].runs_total == 1


async def test_a_damaged_database_is_a_storage_error(
    store: SQLiteStore, path: Path
) -> None:
    """It is no fault of the ping: the client is to send it again."""
    await store.update_all(
        [Change(f"job-{n}", ran(message="x" * 2000)) for n in range(200)]
    )
    ask(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    scribble_over(path)
    # Drops what the writer remembers of the pages.
    await on_writer(store, "PRAGMA shrink_memory")

    with pytest.raises(StorageError, match="malformed"):
        await update(store, "job-7", ran())


# --- Values that cannot be written

UNWRITABLE = {
    "an integer of more than 64 bits": ran(exit_code=2**63),
    "half a character": ran(message="\ud800"),
    "half a character in the name of a run": ran(run_id="\udcff"),
    "a number that is none": ran(metrics={"rows": math.nan}),
    "infinity": ran(metrics={"rows": math.inf}),
}


@pytest.mark.parametrize("decide", UNWRITABLE.values(), ids=UNWRITABLE.keys())
async def test_what_cannot_be_written_harms_its_own_request_alone(
    store: SQLiteStore, decide: Decide
) -> None:
    """The border lets no such value in; one that slips through is no disaster."""
    answers = await asyncio.gather(
        update(store, "backup", ran()),
        update(store, "backup", ran()),
        update(store, "backup", decide),
        store.update_all([Change("sync", ran()), Change("new", decide)]),
        update(store, "backup", ran()),
        return_exceptions=True,
    )

    failed = [isinstance(answer, BaseException) for answer in answers]
    assert failed == [False, False, True, True, False]
    assert [run.number for run in await store.runs("backup", 10)] == [3, 2, 1]
    assert store.states.keys() == {"backup"}


async def test_after_a_value_that_cannot_be_written_it_goes_on(path: Path) -> None:
    """Jobs, runs and their order are what they would be without it."""
    async with SQLiteStore.open(path) as store:
        with pytest.raises(UnicodeEncodeError):
            await update(store, "new", ran(message="\ud800"))
        await store.update_all([Change("sync", ran()), Change("new", ran())])
        await store.update_all([Change("sync", missed_once_more())])
        await update(store, "new", opened(MISSED))

    async with SQLiteStore.open(path) as store:
        assert store.states["sync"].missed_total == 1
        assert [run.number for run in await store.runs("new", 10)] == [1]
        assert [alert.job for alert in await store.alerts()] == ["new"]
