"""Figures of jobs by day: adding finished runs to them, and reading periods."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import aiosqlite

from afterrun_exporter.clock import LoopTurn
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
from afterrun_exporter.storage.sqlite import reads

# The texts have only constants and placeholders.
_READ: Final = f"SELECT {', '.join(COLUMNS[2:])} FROM days WHERE job_id = ? AND day = ?"  # noqa: S608
_WRITE: Final = (
    f"INSERT OR REPLACE INTO days ({', '.join(COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)
_NEXT: Final = """
SELECT id, job_id, outcome, attempt, max_attempts, finished_at, duration
FROM runs WHERE id > (SELECT run FROM counted) ORDER BY id LIMIT ?
"""
_SUMS: Final = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
# The thread of the database waits for the event loop after each row, so there is one
# for many jobs. The characters of a day are concatenated by SQLite, which is faster.
_JOBS: Final = f"""
SELECT json_group_array(json_array(job_id, {", ".join(COUNTS)}, durations, weighted))
FROM (
    SELECT job_id, {_SUMS},
        group_concat(CASE weight WHEN 1 THEN durations ELSE '' END, '') AS durations,
        CASE max(weight) WHEN 1 THEN NULL
        ELSE json_group_array(json_array(weight, durations)) FILTER (WHERE weight > 1)
        END AS weighted
    FROM days WHERE job_id IN (SELECT value FROM json_each(?1))
        AND day BETWEEN ?2 AND ?3 GROUP BY job_id
)
"""  # noqa: S608
_DAYS: Final = f"""
SELECT day, {", ".join(COUNTS)} FROM days
WHERE job_id = 0 AND day BETWEEN ? AND ? ORDER BY day
"""  # noqa: S608
_BROKEN: Final = """
SELECT json_group_array(json_array(job_id, opened_at, resolved_at)) FROM alerts
WHERE job_id IN (SELECT value FROM json_each(?1))
    AND opened_at < ?3 AND coalesce(resolved_at > ?2, true)
    AND condition NOT IN ('upstream_unhealthy', 'test')
"""

_FINISHED: Final = """
SELECT json_group_array(
    json_array(outcome, finished_at, duration, attempt, max_attempts)
) FROM runs WHERE id BETWEEN ? AND ?
"""

#: The key of the last checked row, and the first day to keep.
Position = tuple[Key, int]


def add(
    connection: sqlite3.Connection, figures: Iterable[tuple[Key, DayFigures]]
) -> None:
    """Add *figures* to those of the same job and day, and to the totals of the day."""
    for key, more in with_totals(figures):
        row = connection.execute(_READ, key).fetchone()
        after = day_of_row(row).plus(more) if row else more
        connection.execute(_WRITE, row_of_day(key, after))


def add_next_runs(connection: sqlite3.Connection, limit: int = STEP) -> bool:
    """Add the next finished runs to the figures; return True if there may be more."""
    rows = connection.execute(_NEXT, (limit,)).fetchall()
    if not rows:
        return False
    add(connection, figures_of_rows(rows).items())
    connection.execute("UPDATE counted SET run = ?", (rows[-1][0],))
    return len(rows) == limit


def start(first: int) -> Position | None:
    """Return the position before all rows, to keep those from the day *first* on."""
    return (0, 0), first


def prune(connection: sqlite3.Connection, position: Position) -> Position | None:
    """Delete old rows among the next ones after *position*; return the next position."""
    (job_id, day), first = position
    rows = connection.execute(
        "SELECT job_id, day FROM days WHERE (job_id, day) > (?, ?) "
        "ORDER BY job_id, day LIMIT ?",
        (job_id, day, ROWS),
    ).fetchall()
    connection.executemany(
        "DELETE FROM days WHERE job_id = ? AND day = ?",
        [row for row in rows if row[1] < first],
    )
    return (rows[-1], first) if len(rows) == ROWS else None


async def finished_runs(
    reader: aiosqlite.Connection, after: int, since: float
) -> tuple[int, list[FinishedRun]]:
    """See `Store.finished_runs`."""
    ((newest,),) = await reader.execute_fetchall(
        "SELECT coalesce(max(id), 0) FROM runs"
    )
    # Only the first call has runs before *since* to skip.
    start = after + 1 if after else await reads.first_since(reader, since, newest + 1)
    last = min(newest, start + RUNS - 1)
    ((text,),) = await reader.execute_fetchall(_FINISHED, (start, last))
    runs = [
        FinishedRun(outcome, finished_at, duration)
        for outcome, finished_at, duration, attempt, max_attempts in json.loads(text)
        if is_counted(attempt, max_attempts, outcome)
    ]
    return max(last, after), runs


async def period(
    reader: aiosqlite.Connection, first: int, last: int, jobs: Mapping[int, str]
) -> PeriodFigures:
    """Return the figures of *jobs*, by id; see `Store.figures`."""
    days = await reader.execute_fetchall(_DAYS, (first, last))
    period = PeriodFigures([], [totals_of_row(row) for row in days], {})
    turn = LoopTurn()
    ids = sorted(jobs)
    for at in range(0, len(ids), JOBS):
        some = json.dumps(ids[at : at + JOBS])
        ((text,),) = await reader.execute_fetchall(_JOBS, (some, first, last))
        for id_, *figures in json.loads(text):
            period.jobs.append(_job_figures(jobs[id_], *figures))
        if turn.is_over:
            await turn.end()
        days_in_seconds = (first * DAY, (last + 1) * DAY)
        ((text,),) = await reader.execute_fetchall(_BROKEN, (some, *days_in_seconds))
        spans = sorted(json.loads(text), key=itemgetter(0, 1))
        for id_, some_spans in groupby(spans, key=itemgetter(0)):
            period.broken[jobs[id_]] = [BrokenSpan(*one[1:]) for one in some_spans]
        if turn.is_over:
            await turn.end()
    return period


def _job_figures(job: str, *counts_and_texts: Any) -> JobFigures:
    *runs, missed, late, durations, weighted = counts_and_texts
    decoded = json.loads(weighted) if weighted else ()
    weights = tuple((weight, marks) for weight, marks in decoded)
    return JobFigures(job, tuple(runs), missed, late, durations, weights)
