"""Copying SQLite's log back beside the writer: it stays short, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.storage.sqlite import checkpoints
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.storage.decisions import ran
from tests.storage.files import ask, connected, size_of

#: Rows between two copies: 50 updates.
ROWS = 100
COUNT = "SELECT count(*) FROM runs"


@pytest.fixture
async def store(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SQLiteStore]:
    """One that copies its log back often, and never within a commit."""
    monkeypatch.setattr(checkpoints, "ROWS", ROWS)
    async with SQLiteStore.open(path) as opened_store:
        connection = opened_store._writer._connection
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        yield opened_store


async def length_after_copying(store: SQLiteStore, path: Path, times: int = 1) -> int:
    """Write until the log was copied back so often; return how many bytes it has."""
    for _ in range(times):
        await written(store, "backup", ROWS)
        await store._checkpoints.wait()
    return size_of(log_of(path))


async def written(store: SQLiteStore, job: str, times: int) -> None:
    for _ in range(times):
        await update(store, job, ran())


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def count_runs(path: Path) -> object:
    ((count,),) = ask(path, COUNT)
    return count


def count_runs_elsewhere(path: Path) -> int:
    """Ask from another process, as the locks of one's own are no hindrance."""
    ask = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
    ask += "print(*c.execute(sys.argv[2]).fetchone()); c.close()"
    command = [sys.executable, "-c", ask, str(path), COUNT]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Somebody looks at the database as it is now, and keeps looking."""
    with connected(path) as reader:
        reader.execute("BEGIN")
        reader.execute(COUNT).fetchone()
        yield


@contextmanager
def no_more_files() -> Iterator[None]:
    """What is open stays open, and nothing else can be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.thorough
async def test_the_log_stays_short_under_a_writer_that_never_pauses(
    store: SQLiteStore, path: Path
) -> None:
    """What came during the copy is copied by the writer, and the log begun anew."""
    short = await length_after_copying(store, path)

    await asyncio.gather(*(written(store, f"job-{n}", 10 * ROWS) for n in range(4)))

    assert size_of(log_of(path)) < 5 * short


@pytest.mark.thorough
async def test_the_log_stays_short_again_once_a_long_look_is_over(
    store: SQLiteStore, path: Path
) -> None:
    """What somebody looks at has to be kept for as long."""
    short = await length_after_copying(store, path)
    with reading(path):
        long = await length_after_copying(store, path, times=10)

    assert long > 5 * short
    assert await length_after_copying(store, path, times=20) < 1.2 * long
    assert count_runs(path) == 31 * ROWS


@pytest.mark.thorough
async def test_what_cannot_be_copied_is_told_and_copied_later(
    store: SQLiteStore, path: Path
) -> None:
    """Reports are taken meanwhile; the log waits."""
    with no_more_files(), capture_logs() as logs:
        long = await length_after_copying(store, path, times=3)

    assert {line["event"] for line in logs} == {"checkpoint_failed"}
    assert str(path) in logs[0]["error"]
    assert await length_after_copying(store, path, times=20) < 2 * long
    assert count_runs(path) == 23 * ROWS


async def test_others_who_look_meanwhile_leave_the_log_to_the_daemon(
    store: SQLiteStore, path: Path
) -> None:
    """The last to close a database deletes its log: they must see that it is held."""
    await length_after_copying(store, path)

    assert count_runs_elsewhere(path) == ROWS
    assert log_of(path).exists()


async def test_closing_waits_for_the_copy_and_leaves_one_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "ROWS", 1)
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())
        assert store._checkpoints._task is not None

    assert not log_of(path).exists()
    assert count_runs(path) == 1


async def test_no_copy_begins_while_the_store_is_closed(
    store: SQLiteStore, path: Path
) -> None:
    """Neither its thread nor its file would be there for long."""
    await store.close()

    await written(store, "backup", ROWS)

    assert store._checkpoints._task is None
    assert count_runs(path) == ROWS
