"""Questions to the history."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator

import aiosqlite

from afterrun_exporter.core.model import Condition, Outcome, Run
from afterrun_exporter.core.repeats import REMEMBERED
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.storage.codec import decode_metrics, decode_violations
from afterrun_exporter.storage.store import AlertRecord, LogRecord


async def runs(reader: aiosqlite.Connection, job: str, limit: int) -> list[Run]:
    """Return the last *limit* runs of *job*, the newest first."""
    return [run async for run in _chain(reader, job, limit)]


async def run(reader: aiosqlite.Connection, job: str, number: int) -> Run | None:
    """Return the run with this number if it is among the last of *job*."""
    async for candidate in _chain(reader, job, REMEMBERED):
        if candidate.number == number:
            return candidate
    return None


async def alerts(reader: aiosqlite.Connection, job: str | None) -> list[AlertRecord]:
    """Return the recorded alerts, of one job or of all, the newest first."""
    rows = await reader.execute_fetchall(
        "SELECT j.name, a.* FROM alerts a JOIN jobs j ON j.id = a.job_id "
        "WHERE ?1 IS NULL OR j.name = ?1 ORDER BY a.id DESC",
        (job,),
    )
    return [
        AlertRecord(
            job=row["name"],
            key=AlertKey(Condition(row["condition"]), row["rule"]),
            severity=row["severity"],
            summary=row["summary"],
            opened_at=row["opened_at"],
            resolved_at=row["resolved_at"],
            run=row["run"],
        )
        for row in rows
    ]


async def logs(reader: aiosqlite.Connection, job: str) -> list[LogRecord]:
    """Return what *job* logged, the newest first."""
    rows = await reader.execute_fetchall(
        "SELECT l.* FROM logs l JOIN jobs j ON j.id = l.job_id "
        "WHERE j.name = ? ORDER BY l.id DESC",
        (job,),
    )
    return [
        LogRecord(
            job=job,
            at=row["at"],
            run_id=row["run_id"],
            message=row["message"],
            metadata=row["metadata"],
        )
        for row in rows
    ]


async def _chain(
    reader: aiosqlite.Connection, job: str, limit: int
) -> AsyncIterator[Run]:
    """Yield the runs of *job* from the newest back: each knows the one before."""
    async with reader.execute(
        "SELECT last_run FROM jobs WHERE name = ?", (job,)
    ) as rows:
        found = await rows.fetchone()
    id_ = found["last_run"] if found else None
    for _ in range(limit):
        if id_ is None:
            return
        async with reader.execute("SELECT * FROM runs WHERE id = ?", (id_,)) as rows:
            row = await rows.fetchone()
        if row is None:
            return
        yield _run(row)
        id_ = row["previous_id"]


def _run(row: sqlite3.Row) -> Run:
    return Run(
        number=row["number"],
        run_id=row["run_id"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        outcome=Outcome(row["outcome"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        received_at=row["received_at"],
        duration=row["duration"],
        exit_code=row["exit_code"],
        metrics=decode_metrics(row["metrics"]),
        violations=decode_violations(row["violations"]),
        message=row["message"],
        metadata=row["metadata"],
    )
