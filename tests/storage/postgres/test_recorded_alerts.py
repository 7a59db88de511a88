"""Recorded alerts are found as in memory, whatever is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.storage.postgres import alert_history
from afterrun_exporter.storage.store import AlertFilter, AlertRecord, update
from tests.copies import replace
from tests.examples import examples
from tests.fakes import MemoryStore
from tests.postgres import Database
from tests.storage.decisions import T0, opened, resolved
from tests.storage.postgres.tables import connected, empty
from tests.storage.test_history import ALERTS, FILTERS

_ALERT = """
INSERT INTO alerts
    (id, job_id, condition, rule, severity, summary, run, opened_at, resolved_at)
SELECT $1, id, $3, $4, $5, $6, $7, $8, $9 FROM jobs WHERE name = $2
"""


@settings(max_examples=examples(25))
@given(alerts=ALERTS, filters=st.lists(FILTERS, min_size=1, max_size=8))
async def test_every_selection_is_that_of_the_store_in_memory(
    shared_database: Database,
    alerts: list[tuple[str, AlertKey, int, int | None]],
    filters: list[AlertFilter],
) -> None:
    memory = MemoryStore()
    for job, key, at, lasted in alerts:
        await update(memory, job, opened(key, at=T0 + at))
        if lasted is not None:
            await update(memory, job, resolved(key, at=T0 + at + lasted))
    await empty(shared_database)
    async with connected(shared_database) as connection:
        for job in memory.states:
            await connection.execute("INSERT INTO jobs (name) VALUES ($1)", job)
        rows = [row_of(record) for record in await memory.alerts()]
        await connection.executemany(_ALERT, rows)
        for which in filters:
            assert await alert_history.alerts(connection, which) == (
                await memory.alerts(which)
            )
        for since in (T0, T0 + 25, -float("inf")):
            ours = await alert_history.stats(connection, since, 2)
            theirs = await memory.alert_stats(since, 2)
            assert replace(ours, mean=0, median=0) == replace(theirs, mean=0, median=0)
            assert (ours.mean, ours.median) == pytest.approx(
                (theirs.mean, theirs.median)
            )


def row_of(record: AlertRecord) -> tuple[object, ...]:
    return (
        record.id,
        record.job,
        record.key.condition,
        record.key.rule,
        record.severity,
        record.summary,
        record.run,
        record.opened_at,
        record.resolved_at,
    )
