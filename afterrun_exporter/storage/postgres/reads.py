"""Queries on the history of runs and logs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

import asyncpg

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

#: Rows to read at once: the fewest, because each may have a megabyte, and the most.
FEWEST: Final = 10
MOST: Final = 500
#: Characters to read at once, if there are not the fewest rows.
CHARACTERS: Final = 1_000_000
#: Jobs to read at once.
JOBS: Final = 500

#: Seconds by which runs may be out of order: their ids are assigned when they are
#: written, which is later than they were received.
DISORDER: Final = 60.0

#: The greatest number.
_GREATEST: Final = 2**63 - 1
_EVERY_OUTCOME: Final = tuple(Outcome)

_RUNS: Final = """
SELECT r.* FROM runs r
WHERE r.job_id = (SELECT id FROM jobs WHERE name = $1) AND r.number <= $2
    AND r.outcome = ANY($3::text[])
ORDER BY r.number DESC LIMIT $4
"""
# The last recorded runs of all jobs.
_RECORDED: Final = """
SELECT j.name, r.* FROM runs r JOIN jobs j ON j.id = r.job_id
WHERE r.id >= $1 AND r.id < $2 AND r.received_at >= $3 AND r.outcome = ANY($4::text[])
ORDER BY r.id DESC LIMIT $5
"""
_FIRST_FROM: Final = (
    "SELECT id, received_at FROM runs WHERE id >= $1 ORDER BY id LIMIT 1"
)
_LAST: Final = "SELECT coalesce(max(id), 0) FROM runs"

# Attempts to be followed by another one (`Run.is_retried`).
_RETRIED: Final = (
    "coalesce(r.attempt < r.max_attempts AND r.outcome IN ('fail', 'timeout'), false)"
)
# The texts have only constants.
_ENDINGS: Final = f"""
SELECT j.name, r.number, r.outcome, r.finished_at
FROM jobs j CROSS JOIN LATERAL (
    SELECT number, outcome, finished_at FROM runs r
    WHERE r.job_id = j.id AND NOT {_RETRIED} ORDER BY number DESC LIMIT $2
) r WHERE j.name = ANY($1::text[]) ORDER BY j.name, r.number DESC
"""  # noqa: S608

# The last run of many jobs that changed the status of its job, among their last runs.
_JUDGED: Final = f"NOT ({_RETRIED} OR r.outcome IN ('canceled', 'skipped'))"
_SHORT: Final = ", ".join(
    f"CASE WHEN length(r.metadata) > {MAX_METADATA} THEN '' ELSE r.metadata END "
    "AS metadata"
    if name == "metadata"
    else f"r.{name}"
    for name in Run.__struct_fields__
)
_LAST_JUDGED: Final = f"""
SELECT j.name AS job, {_SHORT}
FROM jobs j CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT * FROM runs WHERE job_id = j.id ORDER BY number DESC LIMIT 50
    ) r WHERE {_JUDGED} ORDER BY number DESC LIMIT 1
) r WHERE j.name = ANY($1::text[])
"""  # noqa: S608

_LOGS: Final = """
SELECT l.id, l.at, l.run_id, l.message, l.metadata FROM logs l
WHERE l.job_id = (SELECT id FROM jobs WHERE name = $1) AND l.id < $2
ORDER BY l.id DESC LIMIT $3
"""


class _Pages:
    """The size of the next step in which rows are read, by the rows before."""

    def __init__(self) -> None:
        self.step = FEWEST

    def note(self, rows: Sequence[asyncpg.Record]) -> None:
        """Adapt the size to *rows*, which have a message and metadata."""
        size = sum(len(row["message"]) + len(row["metadata"]) for row in rows)
        fitting = CHARACTERS * len(rows) // (size + 1)
        self.step = max(FEWEST, min(MOST, 4 * self.step, fitting))


async def runs(
    connection: asyncpg.Connection,
    job: str,
    limit: int,
    before: int | None,
    outcomes: Collection[Outcome],
    size: int | None,
) -> list[Run]:
    """See `Store.runs`."""
    selected = [*(outcomes or _EVERY_OUTCOME)]
    last = _GREATEST if before is None else before - 1
    result: list[Run] = []
    read, pages = 0, _Pages()
    while (missing := limit - len(result)) > 0:
        step = min(missing, pages.step)
        rows = await connection.fetch(_RUNS, job, last, selected, step)
        pages.note(rows)
        async for row in cooperatively(rows):
            run = run_of(row)
            result.append(run)
            read += run.size
            if size is not None and read > size:
                return result
        if len(rows) < step:
            break
        last = rows[-1]["number"] - 1
    return result


async def recorded_runs(
    connection: asyncpg.Connection, query: RunFilter
) -> list[RunRecord]:
    """See `Store.recorded_runs`."""
    selected = [*(query.outcomes or _EVERY_OUTCOME)]
    last = await last_id(connection)
    end = last + 1 if query.before is None else min(query.before, last + 1)
    start = await first_since(connection, query.since, end)
    result: list[RunRecord] = []
    read, pages = 0, _Pages()
    while (missing := query.limit - len(result)) > 0:
        step = min(missing, pages.step)
        rows = await connection.fetch(
            _RECORDED, start, end, query.since, selected, step
        )
        pages.note(rows)
        async for row in cooperatively(rows):
            run = run_of(row)
            result.append(RunRecord(id=row["id"], job=row["name"], run=run))
            read += run.size
            if query.size is not None and read > query.size:
                return result
        if len(rows) < step:
            break
        end = rows[-1]["id"]
    return result


async def first_since(connection: asyncpg.Connection, since: float, end: int) -> int:
    """Return an id from which on runs were recorded at *since* or later, at most *end*.

    Runs are about in the order of their arrival: there may also be earlier ones of a
    minute before, and after the clock was set back.
    """
    low = 0
    while since > -math.inf and low < end:
        middle = (low + end) // 2
        row = await connection.fetchrow(_FIRST_FROM, middle)
        if row is not None and row["received_at"] < since - DISORDER:
            low = row["id"] + 1
        else:
            end = middle
    return low


async def last_id(connection: asyncpg.Connection) -> int:
    """Return the greatest id of a run; 0 without runs."""
    last: int = await connection.fetchval(_LAST)
    return last


async def endings(
    connection: asyncpg.Connection, jobs: Collection[str], limit: int
) -> dict[str, list[Ended]]:
    """See `Store.endings`."""
    endings_by_job: dict[str, list[Ended]] = {}
    for some in _steps(jobs):
        rows = await connection.fetch(_ENDINGS, some, limit)
        async for job, number, outcome, finished_at in cooperatively(rows):
            ending = Ended(number, Outcome(outcome), finished_at)
            endings_by_job.setdefault(job, []).append(ending)
    return endings_by_job


async def last_judged(
    connection: asyncpg.Connection, jobs: Collection[str]
) -> dict[str, Run]:
    """See `Store.last_judged`."""
    runs_by_job: dict[str, Run] = {}
    for some in _steps(jobs):
        rows = await connection.fetch(_LAST_JUDGED, some)
        async for row in cooperatively(rows):
            runs_by_job[row["job"]] = run_of(row)
    return runs_by_job


async def logs(connection: asyncpg.Connection, job: str) -> list[LogRecord]:
    """Return the log messages of *job*, newest first."""
    result: list[LogRecord] = []
    end, pages = _GREATEST, _Pages()
    while rows := await connection.fetch(_LOGS, job, end, pages.step):
        pages.note(rows)
        result += [
            LogRecord(job=job, at=at, run_id=run_id, message=message, metadata=metadata)
            for _, at, run_id, message, metadata in rows
        ]
        end = rows[-1]["id"]
    return result


def _steps(jobs: Collection[str]) -> list[list[str]]:
    names = sorted(set(jobs))
    return [names[at : at + JOBS] for at in range(0, len(names), JOBS)]
