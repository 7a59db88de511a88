"""Queries on the recorded alerts; a long history is never read as a whole."""

from __future__ import annotations

from typing import Any, Final

import aiosqlite

from afterrun_exporter.core.model import Condition
from afterrun_exporter.storage import alert_queries
from afterrun_exporter.storage.alert_queries import (
    COUNTS,
    EVER,
    JOBS,
    LASTED,
    OPEN_NOW,
)
from afterrun_exporter.storage.rows import alert_of
from afterrun_exporter.storage.store import AlertFilter, AlertRecord, AlertStats

_NO_LIMIT: Final = -1


async def alerts(reader: aiosqlite.Connection, query: AlertFilter) -> list[AlertRecord]:
    """See `Store.alerts`."""
    rows = await reader.execute_fetchall(*query_of(query))
    return [alert_of(row) for row in rows]


async def stats(reader: aiosqlite.Connection, since: float, jobs: int) -> AlertStats:
    """See `Store.alert_stats`."""
    start = max(since, EVER)
    counts = await reader.execute_fetchall(COUNTS, (start,))
    most = await reader.execute_fetchall(JOBS, (start, jobs))
    ((mean, median),) = await reader.execute_fetchall(LASTED, (start,))
    ((open_now,),) = await reader.execute_fetchall(OPEN_NOW)
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
    return alert_queries.query_of(query, _NO_LIMIT)
