"""Files of the database that are deleted, replaced or overwritten while in use."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiosqlite
import pytest

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.storage.decisions import ran
from tests.storage.files import ask


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    """One with a run in its log, and all earlier ones in its file."""
    async with SQLiteStore.open(path) as opened_store:
        for _ in range(50):
            await update(opened_store, "backup", ran())
    async with SQLiteStore.open(path) as opened_store:
        await update(opened_store, "backup", ran())
        await opened_store.check()
        yield opened_store


def program(*command: str) -> None:
    """Run another program: files that this process closes lose SQLite's locks."""
    subprocess.run(command, check=True)


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


async def fault(store: SQLiteStore) -> str:
    """Return why nothing can be kept, "" if it can."""
    try:
        await store.check()
        await update(store, "backup", ran())
    except StorageError as error:
        return str(error)
    return ""


def delete(path: Path) -> None:
    path.unlink()


def rename_over(path: Path) -> None:
    copy = path.with_name("copy.db")
    program("cp", str(path), str(copy))
    copy.rename(path)


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def move_back(path: Path) -> None:
    path.with_name("elsewhere.db").rename(path)


def delete_log(path: Path) -> None:
    log_of(path).unlink()


def delete_index(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def truncate(path: Path) -> None:
    os.truncate(path, 4096)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def copy_over(path: Path) -> None:
    """As `cp backup.db afterrun.db` does: the file stays the same one."""
    backup = path.with_name("backup.db")
    program(
        sys.executable,
        "-c",
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]);"
        "d.execute('VACUUM INTO ?', [sys.argv[2]])",
        str(path),
        str(backup),
    )
    program("cp", str(backup), str(path))


def truncate_log(path: Path) -> None:
    os.truncate(log_of(path), 100)


def overwrite_log(path: Path) -> None:
    with log_of(path).open("r+b") as log:
        log.write(b"x" * 32)


@pytest.mark.parametrize(
    ("act", "file", "what"),
    [
        (delete, "", "was deleted or moved"),
        (move_away, "", "was deleted or moved"),
        (rename_over, "", "was replaced"),
        (delete_log, "-wal", "was deleted or moved"),
        (delete_index, "-shm", "was deleted or moved"),
        (truncate, "", "was truncated"),
        (empty, "", "was truncated"),
        (copy_over, "", "was overwritten"),
        (truncate_log, "-wal", "was truncated"),
        (overwrite_log, "-wal", "was overwritten"),
    ],
)
async def test_nothing_is_accepted_that_would_be_lost(
    store: SQLiteStore, path: Path, act: Callable[[Path], None], file: str, what: str
) -> None:
    """Seen: 200 for every report, and all of them gone after a restart."""
    act(path)

    assert await fault(store) == (
        f"cannot write to {path}{file}: it {what} while in use; "
        "stop afterrun, then restore a backup (afterrun restore)"
    )
    with pytest.raises(StorageError):
        await update(store, "backup", ran())


@pytest.mark.parametrize("act", [delete, rename_over, delete_log])
async def test_a_file_that_is_gone_is_noticed_by_the_next_report(
    store: SQLiteStore, path: Path, act: Callable[[Path], None]
) -> None:
    """Not a second later."""
    act(path)

    with pytest.raises(StorageError, match="while in use"):
        await update(store, "backup", ran())
    assert store.states["backup"].runs_total == 51


async def test_a_file_that_is_put_back_is_used_again(
    store: SQLiteStore, path: Path
) -> None:
    """Without a restart, and nothing is missing."""
    move_away(path)
    assert await fault(store)

    move_back(path)

    assert await fault(store) == ""
    assert ask(path, "SELECT count(*) FROM runs") == [(52,)]


@pytest.mark.parametrize(
    "sql",
    ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint", "ANALYZE"],
)
async def test_what_others_may_do_is_no_fault(
    store: SQLiteStore, path: Path, sql: str
) -> None:
    """Somebody compacts the database, or copies its log back."""
    for _ in range(3):
        await update(store, "backup", ran())
        ask(path, sql)
        assert await fault(store) == ""


async def test_a_new_time_of_the_file_is_no_fault(
    store: SQLiteStore, path: Path
) -> None:
    os.utime(path, (1, 1))

    assert await fault(store) == ""


async def test_a_hard_link_is_no_fault(store: SQLiteStore, path: Path) -> None:
    """Some programs for backups make them."""
    path.with_name("link.db").hardlink_to(path)

    assert await fault(store) == ""


@pytest.mark.thorough
async def test_looking_while_the_log_is_copied_back_finds_no_fault(
    store: SQLiteStore, path: Path
) -> None:
    """Whatever moment it looks at."""
    is_done = False

    async def look() -> None:
        while not is_done:
            await store.check()

    looking = asyncio.create_task(look())
    for turn in range(300):
        await update(store, f"job-{turn}", ran())
        if turn % 10 == 0:
            await asyncio.to_thread(ask, path, "PRAGMA wal_checkpoint(TRUNCATE)")
        if turn % 100 == 0:
            await asyncio.to_thread(ask, path, "VACUUM")
    is_done = True
    await looking


async def test_a_log_that_is_copied_back_in_part_is_no_fault(
    store: SQLiteStore, path: Path
) -> None:
    """Seen: after an hour of reports beside long reads, all were refused for good.

    A reader keeps the last page of the file from being copied, and not the first one,
    which says how many pages there are.
    """
    async with aiosqlite.connect(path, isolation_level=None) as reader:
        shorter = 0
        for number in range(60):
            await update(store, f"job-{number}", ran())
            await reader.execute_fetchall("BEGIN")
            await reader.execute_fetchall("SELECT count(*) FROM runs")
            await update(store, f"job-{number}", ran())
            ask(path, "PRAGMA wal_checkpoint(PASSIVE)")
            shorter += size_of(path) < size_in_header(path)
            assert await fault(store) == ""
            await reader.execute_fetchall("COMMIT")

    assert shorter


def size_of(path: Path) -> int:
    return path.stat().st_size


def size_in_header(path: Path) -> int:
    # Read by another process: closing a file here drops SQLite's locks on it.
    header = subprocess.check_output(["head", "-c", "100", str(path)])
    return 4096 * int.from_bytes(header[28:32], "big")
