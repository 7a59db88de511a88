"""Queries on the recorded alerts; a long history is never read as a whole."""

from __future__ import annotations

import re
from itertools import count
from typing import Any, Final

import asyncpg

from afterrun_exporter.clock import cooperatively
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

_MARK: Final = re.compile(r"\?")


async def alerts(
    connection: asyncpg.Connection, query: AlertFilter
) -> list[AlertRecord]:
    """See `Store.alerts`."""
    sql, values = query_of(query)
    rows = await connection.fetch(sql, *values)
    return [alert_of(row) async for row in cooperatively(rows)]


async def stats(connection: asyncpg.Connection, since: float, jobs: int) -> AlertStats:
    """See `Store.alert_stats`."""
    start = max(since, EVER)
    counts = await connection.fetch(numbered(COUNTS), start)
    most = await connection.fetch(numbered(JOBS), start, jobs)
    ((mean, median),) = await connection.fetch(numbered(LASTED), start)
    open_now: int = await connection.fetchval(OPEN_NOW)
    return AlertStats(
        counts={
            (Condition(condition), severity, is_open): alerts
            for condition, severity, is_open, alerts in counts
        },
        jobs=tuple((name, alerts) for name, alerts in most),
        mean=mean,
        median=median,
        open_now=open_now,
    )


def query_of(query: AlertFilter) -> tuple[str, list[Any]]:
    """Return the SQL for *query*, and its values."""
    sql, values = alert_queries.query_of(query, no_limit=None)
    return numbered(sql), values


def numbered(sql: str) -> str:
    """Return *sql* with numbers as placeholders, in place of question marks."""
    numbers = count(1)
    return _MARK.sub(lambda _: f"${next(numbers)}", sql)
