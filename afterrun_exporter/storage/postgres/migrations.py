"""Migrations: the format of the database, as numbered steps.

A step is SQL (``sql/NNNN_name.sql``) or a change of stored states, and never changes once
released. Several replicas may start at once: a lock on `schema_version` lets one of them
migrate. Replicas of the version before go on meanwhile, so a step only adds what they can
ignore; what is no longer used is removed by a later version.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.resources import files
from typing import Any, Final

import asyncpg

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import UnreadableRowError

Step = Callable[[asyncpg.Connection], Awaitable[object]]

#: Changes one state in place. It works on decoded JSON, never on `JobState`, so that it
#: stays valid when that changes.
StateChange = Callable[[dict[str, Any]], None]

#: Changes of the format of stored states, by number in the sequence of all steps.
STATE_CHANGES: Final[Mapping[int, StateChange]] = {}

#: Seconds for a statement of a step: it may create an index on many rows.
_LONG: Final = 3600.0

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS schema_version (
    number      bigint PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
_NEXT_WRITER: Final = """
UPDATE counters SET value = value + 1 WHERE name = 'writer' RETURNING value
"""
#: Another replica has just created the table.
_CREATED: Final = (
    asyncpg.UniqueViolationError,
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateObjectError,
)


def migrations() -> list[tuple[int, Step]]:
    """Return the number and the function of every step, in order."""
    folder = files("afterrun_exporter.storage.postgres") / "sql"
    scripts = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    steps: list[tuple[int, Step]] = [
        (int(file.name[:4]), partial(_run_script, file.read_text("utf-8")))
        for file in scripts
    ]
    for number, change in STATE_CHANGES.items():
        steps.append((number, partial(migrate_states, change=change)))
    return sorted(steps, key=lambda step: step[0])


async def migrate(connection: asyncpg.Connection) -> None:
    """Migrate the database to the newest format, each step whole or not at all.

    Raises StorageError if it was written by a newer version of this program, or is not
    a database of this program.
    """
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StorageError(
            f"the database has the encoding {encoding}: create it with "
            "`createdb --encoding=UTF8 --template=template0`"
        )
    if await connection.fetchval("SELECT to_regclass('schema_version') IS NULL"):
        with suppress(*_CREATED):
            async with connection.transaction():
                await connection.execute(_CREATE)
    steps = migrations()
    if await _version(connection, steps[-1][0]) == steps[-1][0]:
        return
    for number, step in steps:
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute(
                "LOCK TABLE schema_version IN EXCLUSIVE MODE", timeout=_LONG
            )
            if number > await _version(connection, steps[-1][0]):
                await _apply(connection, step)
                await connection.execute(
                    "INSERT INTO schema_version (number) VALUES ($1)", number
                )


async def migrate_states(connection: asyncpg.Connection, change: StateChange) -> None:
    """Apply *change* to every stored state, in the transaction of the caller."""
    changed: list[tuple[str, int]] = []
    rows = await connection.fetch(
        "SELECT id, name, state FROM jobs WHERE state IS NOT NULL", timeout=_LONG
    )
    for number, name, text in rows:
        try:
            state = json.loads(text)
            before = json.dumps(state)
            change(state)
        except (ValueError, TypeError, LookupError) as error:
            raise UnreadableRowError("state", name, error) from error
        if json.dumps(state) != before:
            after = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
            changed.append((after, number))
    # With another stamp, other replicas read the state before they change it.
    writer: int = await connection.fetchval(_NEXT_WRITER)
    await connection.executemany(
        "UPDATE jobs SET state = $1, stamp = $2::int8 << 32 WHERE id = $3",
        [(text, writer, number) for text, number in changed],
        timeout=_LONG,
    )


async def _version(connection: asyncpg.Connection, supported: int) -> int:
    """Return the number of the last applied step, 0 for none. Raises StorageError."""
    try:
        version: int = await connection.fetchval(
            "SELECT coalesce(max(number), 0) FROM schema_version"
        )
    except asyncpg.UndefinedColumnError as error:
        raise _foreign(error) from None
    if version > supported:
        raise StorageError(
            f"the database has schema {version}, this afterrun supports {supported}: "
            "run the version that wrote it, or a newer one"
        )
    return version


async def _apply(connection: asyncpg.Connection, step: Step) -> None:
    try:
        await step(connection)
    except asyncpg.DuplicateTableError as error:
        raise _foreign(error) from None


def _foreign(error: asyncpg.PostgresError) -> StorageError:
    return StorageError(
        f"the database has tables of another program ({error.args[0]}): use an empty "
        "database"
    )


async def _run_script(sql: str, connection: asyncpg.Connection) -> None:
    await connection.execute(sql, timeout=_LONG)
