"""Queries on the recorded alerts, in SQL for every database.

Placeholders are question marks.
"""

from __future__ import annotations

from typing import Any, Final

from afterrun_exporter.storage.store import AlertFilter

#: The minimum for times: SQLite cannot bind an infinity.
EVER: Final = -1e300

# Alerts that are counted: all except `BLAMELESS`.
COUNTS: Final = """
SELECT condition, severity, resolved_at IS NULL AS open, count(*) AS alerts
FROM alerts WHERE opened_at >= ? AND condition NOT IN ('upstream_unhealthy', 'test')
GROUP BY condition, severity, open
"""
JOBS: Final = """
SELECT j.name, count(*) AS alerts FROM alerts a JOIN jobs j ON j.id = a.job_id
WHERE a.opened_at >= ? AND condition NOT IN ('upstream_unhealthy', 'test')
GROUP BY j.id, j.name ORDER BY alerts DESC, j.name LIMIT ?
"""
#: The mean and the median of durations.
LASTED: Final = """
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
OPEN_NOW: Final = """
SELECT count(*) FROM alerts
WHERE resolved_at IS NULL AND condition NOT IN ('upstream_unhealthy', 'test')
"""

#: The position of a record in the order of the result.
_PLACE: Final = "(SELECT opened_at, id FROM alerts WHERE id = ?)"


def query_of(query: AlertFilter, no_limit: int | None) -> tuple[str, list[Any]]:
    """Return the SQL for *query*, and its values. A limit *no_limit* means none."""
    # The newest alerts are found by the index on time; the plus disables that index
    # if a few open alerts would have to be searched among all resolved ones.
    time = "+a.opened_at" if query.open else "a.opened_at"
    conditions: list[str] = [f"{time} >= ?"]
    values: list[Any] = [max(query.since, EVER)]
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
    limit = no_limit if query.limit is None else query.limit
    return sql, [*values, *more_values, limit, query.skip]
