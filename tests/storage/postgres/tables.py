"""Databases with tables and rows, beside any store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

from afterrun_exporter.storage.postgres.address import address_of
from afterrun_exporter.storage.postgres.connection import connect
from afterrun_exporter.storage.postgres.migrations import migrate
from tests.postgres import Database

#: Tables without those with numbers that are never used again.
_EVENTS = (
    *("jobs", "feed", "runs", "alerts", "logs", "outbox", "receivers", "pushed"),
    *("run_keys", "days", "unpunctual", "writers", "leader", "service"),
)
_RUNS = """
INSERT INTO runs (job_id, number, attempt, outcome, finished_at, received_at, duration,
    metrics, violations, message, metadata, config_commit)
SELECT job, number, 1, 'ok', at, at, 2, '{}', '[]', '', '', ''
FROM unnest($1::int8[]) AS job, unnest($2::int8[], $3::float8[]) AS t (number, at)
"""


T = TypeVar("T")


@dataclass(frozen=True)
class Writing:
    """Implements `Write` with one connection."""

    connection: asyncpg.Connection

    async def __call__(self, act: Callable[[asyncpg.Connection], Awaitable[T]], /) -> T:
        return await act(self.connection)


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to *database*, as a store has it, with all tables."""
    connection = await connect(address_of(database.url, lambda: None), 60, {})
    try:
        await migrate(connection)
        yield connection
    finally:
        await connection.close()


async def empty(database: Database) -> None:
    """Delete all rows of what has happened, if there are tables."""
    connection = await asyncpg.connect(database.socket_url)
    try:
        if await connection.fetchval("SELECT to_regclass('schema_version')"):
            await connection.execute(
                "; ".join(f"DELETE FROM {name}" for name in _EVENTS)  # noqa: S608
            )
    finally:
        await connection.close()


async def add_jobs(connection: asyncpg.Connection, count: int) -> None:
    """Add the jobs job-1, job-2, ..."""
    await connection.execute(
        "INSERT INTO jobs (id, name, stamp, state) "
        "SELECT n, 'job-' || n, 1, '{}' FROM generate_series(1, $1::int8) AS n",
        count,
    )


async def add_runs(
    connection: asyncpg.Connection, jobs: Iterable[int], runs: dict[int, float]
) -> None:
    """Add *runs* to each of *jobs*: numbers, and the times at which they were received."""
    await connection.execute(_RUNS, [*jobs], [*runs], [*runs.values()])
