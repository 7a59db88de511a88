"""Queries on the history of runs and logs."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Final

import aiosqlite

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.model import Outcome, Run
from afterrun_exporter.storage.rows import run_of
from afterrun_exporter.storage.store import (
    MAX_METADATA,
    Ended,
    LogRecord,
    RunFilter,
    RunRecord,
)

#: Rows to read at once: each may have a megabyte.
STEP: Final = 10

_SELECTED: Final = "coalesce(r.number < ?3, true) AND coalesce(instr(?4, r.outcome), 1)"
# Long texts are expensive to read, also for their length.
_SIZE: Final = (
    f"iif(?5 IS NOT NULL AND {_SELECTED}, length(r.message) + length(r.metadata), 0)"
)
# The runs of a job, newest first: each has the id of the previous one. The places of
# the selected runs are counted from 1, and their sizes added up. The text has only
# constants.
_CHAIN: Final = f"""
WITH RECURSIVE chain (id, previous_id, selected, place, size) AS (
    SELECT r.id, r.previous_id, {_SELECTED}, {_SELECTED}, {_SIZE}
    FROM jobs j JOIN runs r ON r.id = j.last_run WHERE j.name = ?1
    UNION ALL
    SELECT r.id, r.previous_id, {_SELECTED}, place + ({_SELECTED}), size + {_SIZE}
    FROM chain JOIN runs r ON r.id = chain.previous_id
    WHERE place < ?2 AND coalesce(size <= ?5, true)
)
SELECT runs.* FROM chain JOIN runs ON runs.id = chain.id
WHERE selected AND place <= ?2 ORDER BY place
"""  # noqa: S608

# The last recorded runs of all jobs.
_RECORDED: Final = """
SELECT j.name, r.* FROM runs r JOIN jobs j ON j.id = r.job_id
WHERE r.id >= ?1 AND r.id < ?2 AND r.received_at >= ?3
    AND coalesce(instr(?4, r.outcome), 1)
ORDER BY r.id DESC LIMIT ?5
"""
_FIRST_FROM: Final = (
    "SELECT id, received_at FROM runs WHERE id >= ? ORDER BY id LIMIT 1"
)
#: The minimum for times: SQL cannot bind an infinity.
_EVER: Final = -1e300

# The same for many jobs at once, with only the end of each run. A pruned run ends a
# chain: the runs before it are not found. Attempts to be followed by another one
# (`Run.is_retried`) have no place.
_RETRIED: Final = (
    "coalesce(r.attempt < r.max_attempts AND r.outcome IN ('fail', 'timeout'), 0)"
)
# The text has only constants.
_CHAINS: Final = f"""
WITH RECURSIVE chain (job, id, place) AS (
    SELECT name, last_run, 1 FROM jobs WHERE name IN (SELECT value FROM json_each(?1))
    UNION ALL
    SELECT chain.job, r.previous_id, place + (NOT {_RETRIED})
    FROM chain JOIN runs r ON r.id = chain.id WHERE place + (NOT {_RETRIED}) <= ?2
)
SELECT chain.job, r.number, r.outcome, r.finished_at
FROM chain JOIN runs r ON r.id = chain.id WHERE NOT {_RETRIED} ORDER BY chain.job, place
"""  # noqa: S608

# The last run of many jobs that changed the status of its job, among their last runs.
_JUDGED: Final = f"NOT ({_RETRIED} OR r.outcome IN ('canceled', 'skipped'))"
_SHORT: Final = ", ".join(
    f"iif(length(r.metadata) > {MAX_METADATA}, '', r.metadata) AS metadata"
    if name == "metadata"
    else f"r.{name} AS {name}"
    for name in Run.__struct_fields__
)
_LAST_JUDGED: Final = f"""
WITH RECURSIVE chain (job, id, place) AS (
    SELECT name, last_run, 1 FROM jobs WHERE name IN (SELECT value FROM json_each(?))
    UNION ALL
    SELECT chain.job, r.previous_id, place + 1
    FROM chain JOIN runs r ON r.id = chain.id WHERE place < 50 AND NOT {_JUDGED}
)
SELECT chain.job AS job, {_SHORT} FROM chain JOIN runs r ON r.id = chain.id
WHERE {_JUDGED}
"""  # noqa: S608


async def connect(path: Path) -> aiosqlite.Connection:
    """Return a connection that can only read."""
    reader = await aiosqlite.connect(path)
    await reader.execute("PRAGMA query_only = ON")
    await reader.execute("PRAGMA busy_timeout = 5000")
    reader.row_factory = aiosqlite.Row
    return reader


async def runs(
    reader: aiosqlite.Connection,
    job: str,
    limit: int,
    before: int | None,
    outcomes: Collection[Outcome],
    size: int | None,
) -> list[Run]:
    """See `Store.runs`."""
    values = (job, limit, before, _words(outcomes), size)
    rows = await reader.execute_fetchall(_CHAIN, values)
    # Reading thousands of rows takes a while; pings must be answered meanwhile.
    return [run_of(row) async for row in cooperatively(rows)]


async def recorded_runs(
    reader: aiosqlite.Connection, query: RunFilter
) -> list[RunRecord]:
    """See `Store.recorded_runs`."""
    ((newest,),) = await reader.execute_fetchall(
        "SELECT coalesce(max(id), 0) FROM runs"
    )
    end = newest + 1 if query.before is None else min(query.before, newest + 1)
    start = await first_since(reader, query.since, end)
    values = (start, end, max(query.since, _EVER), _words(query.outcomes), query.limit)
    records: list[RunRecord] = []
    size = 0
    async with reader.execute(_RECORDED, values) as cursor:
        while rows := await cursor.fetchmany(STEP):
            async for row in cooperatively(rows):
                run = run_of(row)
                records.append(RunRecord(id=row["id"], job=row["name"], run=run))
                size += run.size
                if query.size is not None and size > query.size:
                    return records
    return records


async def first_since(reader: aiosqlite.Connection, since: float, end: int) -> int:
    """Return an id from which on runs were recorded at *since* or later, at most *end*.

    Runs are in the order of their arrival; after the clock was set back, some later
    ones may have an earlier time.
    """
    low = 0
    while since > _EVER and low < end:
        middle = (low + end) // 2
        rows = list(await reader.execute_fetchall(_FIRST_FROM, (middle,)))
        if rows and rows[0]["received_at"] < since:
            low = rows[0]["id"] + 1
        else:
            end = middle
    return low


def _words(outcomes: Collection[Outcome]) -> str | None:
    """Return *outcomes* as text that contains each of them and no others; None for all."""
    return " ".join(outcomes) if outcomes else None


async def endings(
    reader: aiosqlite.Connection, jobs: Collection[str], limit: int
) -> dict[str, list[Ended]]:
    """See `Store.endings`."""
    rows = await reader.execute_fetchall(_CHAINS, (json.dumps([*jobs]), limit))
    endings_by_job: dict[str, list[Ended]] = {}
    for job, number, outcome, finished_at in rows:
        ending = Ended(number, Outcome(outcome), finished_at)
        endings_by_job.setdefault(job, []).append(ending)
    return endings_by_job


async def last_judged(
    reader: aiosqlite.Connection, jobs: Collection[str]
) -> dict[str, Run]:
    """See `Store.last_judged`."""
    rows = await reader.execute_fetchall(_LAST_JUDGED, (json.dumps([*jobs]),))
    return {row["job"]: run_of(row) async for row in cooperatively(rows)}


async def logs(reader: aiosqlite.Connection, job: str) -> list[LogRecord]:
    """Return the log messages of *job*, newest first."""
    rows = await reader.execute_fetchall(
        "SELECT j.name job, l.at, l.run_id, l.message, l.metadata "
        "FROM logs l JOIN jobs j ON j.id = l.job_id WHERE j.name = ? ORDER BY l.id DESC",
        (job,),
    )
    return [LogRecord(**row) for row in rows]
