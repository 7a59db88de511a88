"""Partitions of `runs`: one for each UTC day, and one for the runs of other days."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg

from afterrun_exporter.core.daily_figures import DAY, day_of

#: The partition of the days that have none, and of the last runs of jobs.
OTHER: Final = "runs_other"

#: Days after today that have a partition in advance.
AHEAD: Final = 2

#: Milliseconds for which a change of the partitions waits for readers, while those that
#: come later wait for it.
PATIENCE: Final = 500

_EPOCH: Final = date(1970, 1, 1)
_NAME: Final = re.compile(r"runs_(\d{8})")
_LIST: Final = """
SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'runs'::regclass
"""
#: Errors after which the change is tried again the next time.
_BUSY: Final = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
#: Another replica created it, or runs of the day are in the other partition already.
_NEEDLESS: Final = (
    asyncpg.DuplicateTableError,
    # Of its row type: so PostgreSQL reports a table of the same moment.
    asyncpg.DuplicateObjectError,
    asyncpg.UniqueViolationError,
    asyncpg.CheckViolationError,
)


def name_of(day: int) -> str:
    """Return the name of the partition of a UTC day since 1970."""
    return f"runs_{_EPOCH + timedelta(days=day):%Y%m%d}"


async def days(connection: asyncpg.Connection) -> list[int]:
    """Return the days that have a partition, the earliest first."""
    names = (_NAME.fullmatch(name) for (name,) in await connection.fetch(_LIST))
    return sorted(
        day_of(datetime.strptime(name[1], "%Y%m%d").replace(tzinfo=UTC).timestamp())
        for name in names
        if name
    )


async def missing(connection: asyncpg.Connection, now: float) -> list[int]:
    """Return the days without a partition that should have one: yesterday and later."""
    today = day_of(now)
    existing = await days(connection)
    expected = range(today - 1, today + AHEAD + 1)
    return [day for day in expected if day not in existing]


async def create(connection: asyncpg.Connection, day: int) -> None:
    """Create the partition of *day*, in one transaction.

    It does not if runs of the day are in the other partition: there they stay.
    """
    name = name_of(day)
    # Unlike its creation as a partition, to attach a table does not block reports.
    sql = (
        f"SET LOCAL lock_timeout = {PATIENCE}; "
        f"CREATE TABLE {name} (LIKE runs INCLUDING DEFAULTS); "
        f"ALTER TABLE runs ATTACH PARTITION {name} "
        f"FOR VALUES FROM ({day * DAY:.0f}) TO ({(day + 1) * DAY:.0f})"
    )
    try:
        await connection.execute(sql)
    except (*_BUSY, *_NEEDLESS):
        return


async def drop(
    connection: asyncpg.Connection, day: int, last_runs: Collection[int]
) -> bool:
    """Drop the partition of *day*; runs with the ids *last_runs* move to the other.

    Returns False if readers would block others for too long.
    """
    name = name_of(day)
    ids = ", ".join(str(int(id_)) for id_ in last_runs)
    move = f"INSERT INTO runs SELECT * FROM {name} WHERE id IN ({ids}); "  # noqa: S608
    # One request is one transaction: a replica that stops meanwhile blocks no other.
    sql = (
        f"SET LOCAL lock_timeout = {PATIENCE}; "
        f"ALTER TABLE runs DETACH PARTITION {name}; "
        f"{move if last_runs else ''}DROP TABLE {name}"
    )
    try:
        await connection.execute(sql)
    except _BUSY:
        return False
    except asyncpg.UndefinedTableError:
        # Another replica was faster.
        return True
    return True
