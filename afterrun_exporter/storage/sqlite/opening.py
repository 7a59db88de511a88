"""Opening the database file: one connection that writes, and others that read."""

from __future__ import annotations

import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiosqlite

from afterrun_exporter.core.state import JobState
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import (
    UNDECODABLE,
    UnreadableRowError,
    decode_state,
)
from afterrun_exporter.storage.rows import Outboxed
from afterrun_exporter.storage.sqlite import outbox, reads
from afterrun_exporter.storage.sqlite.files import hint, secure
from afterrun_exporter.storage.sqlite.migrations import migrate
from afterrun_exporter.storage.sqlite.read_guard import FAULTS, reason
from afterrun_exporter.storage.sqlite.writes import Writer

PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    # NORMAL may lose the last commits in a power cut. They were answered with 200,
    # so the fsync is necessary.
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    # 64 MiB: the states of 100,000 jobs must fit in memory.
    "PRAGMA cache_size = -65536",
    # Pages (96 MiB): `Checkpoints` copies the log back long before, unless a reader or
    # a slow disk prevents that.
    "PRAGMA wal_autocheckpoint = 24576",
    "PRAGMA temp_store = MEMORY",
)


def open_for_writing(
    path: Path,
) -> tuple[sqlite3.Connection, dict[str, JobState], Writer, Outboxed]:
    """Open or create the database at *path*, migrate and load it."""
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in PRAGMAS:
                connection.execute(pragma).fetchall()
            migrate(connection)
            secure(path)
            states, writer = _load(connection)
            pending = outbox.load(connection)
        except BaseException:
            connection.close()
            raise
    except (*FAULTS, UnreadableRowError) as error:
        problem = f"cannot use database {str(path)!r}: {reason(error)}{hint(path)}"
        raise StorageError(problem) from error
    return connection, states, writer, pending


async def open_for_reading(path: Path, stack: AsyncExitStack) -> aiosqlite.Connection:
    """Open the database at *path* for reading, until *stack* is left."""
    try:
        reader = await reads.connect(path)
    except FAULTS as error:
        raise StorageError(
            f"cannot use database {str(path)!r}: {reason(error)}"
        ) from error
    stack.push_async_callback(reader.close)
    return reader


def _load(connection: sqlite3.Connection) -> tuple[dict[str, JobState], Writer]:
    states: dict[str, JobState] = {}
    ids: dict[str, int] = {}
    last_runs: dict[str, int | None] = {}
    rows = connection.execute("SELECT id, name, last_run, state, seen FROM jobs")
    for id_, name, last_run, state, keys in rows:
        try:
            states[name] = decode_state(state, keys)
        except UNDECODABLE as error:
            raise UnreadableRowError("state", name, error) from error
        ids[name] = id_
        last_runs[name] = last_run
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
    missed = {name: n for name, one in states.items() if (n := one.missed_total)}
    return states, Writer(connection, ids, last_runs, newest, missed)
