"""Queries on the recorded alerts; a long history is never read as a whole."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import aiosqlite

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.storage.store import AlertFilter, AlertRecord, AlertStats

#: The minimum for times: SQL cannot bind an infinity.
_EVER: Final = -1e300

# Alerts that are counted: all except `BLAMELESS`.
_COUNTS: Final = """
SELECT condition, severity, resolved_at IS NULL AS open, count(*) AS alerts
FROM alerts WHERE opened_at >= ? AND condition NOT IN ('upstream_unhealthy', 'test')
GROUP BY condition, severity, open
"""
_JOBS: Final = """
SELECT j.name, count(*) AS alerts FROM alerts a JOIN jobs j ON j.id = a.job_id
WHERE a.opened_at >= ? AND condition NOT IN ('upstream_unhealthy', 'test')
GROUP BY a.job_id ORDER BY alerts DESC, j.name LIMIT ?
"""
#: The mean and the median of durations.
_LASTED: Final = """
WITH resolved AS (
    SELECT resolved_at - opened_at AS lasted,
        row_number() OVER (ORDER BY resolved_at - opened_at) AS place,
        count(*) OVER () AS alerts
    FROM alerts WHERE opened_at >= ? AND resolved_at IS NOT NULL
        AND condition NOT IN ('upstream_unhealthy', 'test')
)
SELECT avg(lasted),
    avg(lasted) FILTER (WHERE place IN ((alerts + 1) / 2, (alerts + 2) / 2))
FROM resolved
"""
#: The position of a record in the order of the result.
_PLACE: Final = "(SELECT opened_at, id FROM alerts WHERE id = ?)"
_OPEN_NOW: Final = """
SELECT count(*) FROM alerts
WHERE resolved_at IS NULL AND condition NOT IN ('upstream_unhealthy', 'test')
"""


async def alerts(reader: aiosqlite.Connection, query: AlertFilter) -> list[AlertRecord]:
    """See `Store.alerts`."""
    rows = await reader.execute_fetchall(*query_of(query))
    return [_record(row) for row in rows]


async def stats(reader: aiosqlite.Connection, since: float, jobs: int) -> AlertStats:
    """See `Store.alert_stats`."""
    start = max(since, _EVER)
    counts = await reader.execute_fetchall(_COUNTS, (start,))
    most = await reader.execute_fetchall(_JOBS, (start, jobs))
    ((mean, median),) = await reader.execute_fetchall(_LASTED, (start,))
    ((open_now,),) = await reader.execute_fetchall(_OPEN_NOW)
    return AlertStats(
        counts={
            (Condition(condition), severity, bool(is_open)): alerts
            for condition, severity, is_open, alerts in counts
        },
        jobs=tuple((name, alerts) for name, alerts in most),
        mean=mean,
        median=median,
        open_now=open_now,
    )


def query_of(query: AlertFilter) -> tuple[str, list[Any]]:
    """Return the SQL for *query*, and its values."""
    # The newest alerts are found by the index on time; the plus disables that index
    # if a few open alerts would have to be searched among all resolved ones.
    time = "+a.opened_at" if query.open else "a.opened_at"
    conditions: list[str] = [f"{time} >= ?"]
    values: list[Any] = [max(query.since, _EVER)]
    if query.job is not None:
        conditions.append("a.job_id = (SELECT id FROM jobs WHERE name = ?)")
        values.append(query.job)
    if query.open is not None:
        conditions.append(f"a.resolved_at IS {'' if query.open else 'NOT '}NULL")
    if query.before is not None:
        conditions.append(f"({time}, a.id) < {_PLACE}")
        values.append(query.before)
    more: list[str] = []
    more_values: list[Any] = []
    if query.conditions:
        marks = ", ".join("?" for _ in query.conditions)
        more.append(f"a.condition IN ({marks})")
        more_values += query.conditions
    if query.severity is not None:
        more.append("a.severity = ?")
        more_values.append(query.severity)
    alerts, order = "alerts a", f"ORDER BY {time} DESC, a.id DESC"
    if query.window is not None and more:
        where = " AND ".join(conditions)
        alerts = f"(SELECT * FROM alerts a WHERE {where} {order} LIMIT ?) a"  # noqa: S608
        values.append(query.window)
        conditions = []
    # The text has only placeholders and constants.
    sql = (
        f"SELECT j.name, a.* FROM {alerts} JOIN jobs j ON j.id = a.job_id "  # noqa: S608
        f"WHERE {' AND '.join([*conditions, *more])} {order} LIMIT ? OFFSET ?"
    )
    limit = -1 if query.limit is None else query.limit
    return sql, [*values, *more_values, limit, query.skip]


def _record(row: sqlite3.Row) -> AlertRecord:
    return AlertRecord(
        id=row["id"],
        job=row["name"],
        key=AlertKey(Condition(row["condition"]), row["rule"]),
        severity=row["severity"],
        summary=row["summary"],
        opened_at=row["opened_at"],
        resolved_at=row["resolved_at"],
        run=row["run"],
    )
