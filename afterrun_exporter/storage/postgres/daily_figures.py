"""Figures of jobs by day: adding finished runs to them, and reading periods."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import asyncpg

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.daily_figures import (
    DAY,
    BrokenSpan,
    DayFigures,
    FinishedRun,
    JobFigures,
    PeriodFigures,
    is_counted,
)
from afterrun_exporter.storage.daily_rows import (
    COLUMNS,
    COUNTS,
    JOBS,
    ROWS,
    RUNS,
    STEP,
    Key,
    day_of_row,
    figures_of_rows,
    row_of_day,
    totals_of_row,
    with_totals,
)
from afterrun_exporter.storage.postgres import reads

#: Seconds after which a commit is visible or has failed: statements are ended before.
SETTLED: Final = 15.0

# One snapshot: the first commit of another writer comes after its row.
_SEEN: Final = f"""
SELECT (SELECT coalesce(max(id), 0) FROM runs), EXISTS (
    SELECT FROM writers
    WHERE id <> $1 AND seen_at > clock_timestamp() - interval '{SETTLED} s'
)
"""  # noqa: S608
_COUNTED: Final = "SELECT run, steps FROM counted"
_NEXT: Final = """
SELECT id, job_id, outcome, attempt, max_attempts, finished_at, duration
FROM runs WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
"""
_UNPUNCTUAL: Final = """
SELECT id, job_id, day, missed, late FROM unpunctual ORDER BY id LIMIT $1
"""
_READ: Final = f"""
SELECT {", ".join(f"d.{name}" for name in COLUMNS)}
FROM unnest($1::int8[], $2::int8[]) AS t (job_id, day)
JOIN days d ON d.job_id = t.job_id AND d.day = t.day
"""  # noqa: S608
_TYPES: Final = ["int8"] * (2 + len(COUNTS)) + ["text", "int8"]
# Nothing is locked while a replica computes: the statement has no effect if another
# replica counted meanwhile. The text has only constants.
_ADD: Final = f"""
WITH mine AS (
    UPDATE counted SET run = $2, steps = steps + 1 WHERE steps = $1 RETURNING run
), gone AS (
    DELETE FROM unpunctual WHERE id = ANY($3::int8[]) AND EXISTS (SELECT FROM mine)
), added AS (
    INSERT INTO days ({", ".join(COLUMNS)})
    SELECT * FROM unnest({", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(_TYPES, 4))}) AS t
    WHERE EXISTS (SELECT FROM mine)
    ON CONFLICT (job_id, day) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])}
)
SELECT run FROM mine
"""  # noqa: S608

_OLD: Final = """
SELECT job_id, day FROM days WHERE (job_id, day) > ($1, $2)
ORDER BY job_id, day LIMIT $3
"""
_DELETE: Final = """
DELETE FROM days d USING unnest($1::int8[], $2::int8[]) AS t (job_id, day)
WHERE d.job_id = t.job_id AND d.day = t.day
"""

_SUMS: Final = ", ".join(f"sum({name})::int8" for name in COUNTS)
_JOBS: Final = f"""
SELECT job_id, {_SUMS}, coalesce(string_agg(durations, '') FILTER (WHERE weight = 1), ''),
    array_agg(weight) FILTER (WHERE weight > 1),
    array_agg(durations) FILTER (WHERE weight > 1)
FROM days WHERE job_id = ANY($1::int8[]) AND day BETWEEN $2 AND $3 GROUP BY job_id
"""  # noqa: S608
_DAYS: Final = f"""
SELECT day, {", ".join(COUNTS)} FROM days
WHERE job_id = 0 AND day BETWEEN $1 AND $2 ORDER BY day
"""  # noqa: S608
_BROKEN: Final = """
SELECT job_id, opened_at, resolved_at FROM alerts
WHERE job_id = ANY($1::int8[]) AND opened_at < $3 AND coalesce(resolved_at > $2, true)
    AND condition NOT IN ('upstream_unhealthy', 'test')
ORDER BY job_id, opened_at
"""
_FINISHED: Final = """
SELECT outcome, finished_at, duration, attempt, max_attempts
FROM runs WHERE id BETWEEN $1 AND $2 AND received_at >= $3 ORDER BY id
"""

#: The key of the last checked row, and the first day to keep.
Position = tuple[Key, int]


class Horizon:
    """The id up to which all runs are visible that will ever be.

    Ids are assigned before the commit, so a smaller one of another writer may appear
    later, for as long as a statement takes.
    """

    def __init__(self, writer: Callable[[], int], elapsed: Callable[[], float]) -> None:
        #: Returns the number of this writer, whose commits are in the order of ids.
        self._writer = writer
        #: Returns seconds on a clock that is never set.
        self._elapsed = elapsed
        #: The greatest ids that were visible, and when, the oldest first.
        self._samples: deque[tuple[float, int]] = deque()
        self._reached = 0

    async def look(self, connection: asyncpg.Connection) -> int:
        """Return the id; 0 if none is known yet."""
        began = self._elapsed()
        ((last, others),) = await connection.fetch(_SEEN, self._writer())
        if not others:
            self._reached = max(self._reached, last)
        elif not self._samples or self._samples[-1][0] <= began - 1:
            self._samples.append((began, last))
        while self._samples and self._samples[0][0] <= began - SETTLED:
            self._reached = max(self._reached, self._samples.popleft()[1])
        return self._reached


async def add_next_runs(
    connection: asyncpg.Connection, horizon: int, limit: int = STEP
) -> bool:
    """Add the next finished runs, up to the id *horizon*, to the figures of their days.

    Also missed and late runs. Returns True if there may be more.
    """
    ((last, steps),) = await connection.fetch(_COUNTED)
    rows = await connection.fetch(_NEXT, last, horizon, limit)
    unpunctual = await connection.fetch(_UNPUNCTUAL, limit)
    if not rows and not unpunctual:
        return False
    added = dict(figures_of_rows(rows))
    for _, job_id, day, missed, late in unpunctual:
        more = DayFigures(missed=missed, late=late)
        other = added.get((job_id, day))
        added[job_id, day] = more if other is None else other.plus(more)
    figures = with_totals(added.items())
    keys = [[key[n] for key, _ in figures] for n in range(2)]
    before = {
        (job_id, day): day_of_row(row)
        for job_id, day, *row in await connection.fetch(_READ, *keys)
    }
    after = [
        row_of_day(key, before[key].plus(more) if key in before else more)
        for key, more in figures
    ]
    columns = [[row[n] for row in after] for n in range(len(COLUMNS))]
    ids = [id_ for id_, *_ in unpunctual]
    newest = rows[-1]["id"] if rows else last
    is_done = await connection.fetchval(_ADD, steps, newest, ids, *columns) is not None
    return is_done and limit in {len(rows), len(unpunctual)}


async def prune(connection: asyncpg.Connection, position: Position) -> Position | None:
    """Delete old rows among the next ones after *position*; return the next position."""
    key, first = position
    rows = [tuple(row) for row in await connection.fetch(_OLD, *key, ROWS)]
    if old := [row for row in rows if row[1] < first]:
        await connection.execute(_DELETE, *map(list, zip(*old, strict=True)))
    return (rows[-1], first) if len(rows) == ROWS else None


async def finished_runs(
    connection: asyncpg.Connection, horizon: Horizon, after: int, since: float
) -> tuple[int, list[FinishedRun]]:
    """See `Store.finished_runs`."""
    newest = await horizon.look(connection)
    # Only the first call has runs before *since* to skip.
    start = after + 1 if after else await reads.first_since(connection, since, newest + 1)  # fmt: skip
    last = min(newest, start + RUNS - 1)
    runs = [
        FinishedRun(outcome, finished_at, duration)
        async for outcome, finished_at, duration, attempt, max_attempts in cooperatively(
            await connection.fetch(_FINISHED, start, last, since)
        )
        if is_counted(attempt, max_attempts, outcome)
    ]
    return max(last, after), runs


async def period(
    connection: asyncpg.Connection, first: int, last: int, jobs: Mapping[int, str]
) -> PeriodFigures:
    """Return the figures of *jobs*, by id; see `Store.figures`."""
    days = await connection.fetch(_DAYS, first, last)
    period = PeriodFigures([], [totals_of_row(row) for row in days], {})
    ids = sorted(jobs)
    for at in range(0, len(ids), JOBS):
        some = ids[at : at + JOBS]
        rows = await connection.fetch(_JOBS, some, first, last)
        async for id_, *figures in cooperatively(rows):
            period.jobs.append(_job_figures(jobs[id_], *figures))
        spans = await connection.fetch(_BROKEN, some, first * DAY, (last + 1) * DAY)
        async for id_, some_spans in cooperatively(groupby(spans, key=itemgetter(0))):
            period.broken[jobs[id_]] = [BrokenSpan(*one[1:]) for one in some_spans]
    return period


def _job_figures(job: str, *columns: Any) -> JobFigures:
    *runs, missed, late, durations, weights, marks = columns
    weighted = tuple(zip(weights, marks, strict=True)) if weights else ()
    return JobFigures(job, tuple(runs), missed, late, durations, weighted)
