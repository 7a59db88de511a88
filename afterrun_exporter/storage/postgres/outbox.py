"""Rows of the table `outbox`: alert notifications and their deliveries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import asyncpg

from afterrun_exporter.core.notifications import AlertNotification
from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.postgres.texts import columns
from afterrun_exporter.storage.rows import (
    NOTICE,
    Outboxed,
    encode_deliveries,
    notice_row,
    outbox_of,
)

# Rows are locked in one order by all transactions, those of jobs first: otherwise two
# could wait for each other. Nothing is saved for a job that has changed since its alerts
# were compared, and an alert that was opened again is not deleted. The texts have only
# constants.
_SAVE: Final = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[],
        $7::float8[], $8::float8[], $9::int8[]
    ) AS t ({", ".join(NOTICE)}, stamp)
), mine AS MATERIALIZED (
    SELECT i.labels FROM input i JOIN jobs j ON j.name = i.job AND j.stamp = i.stamp
    ORDER BY j.id FOR NO KEY UPDATE OF j
), saved AS (
    INSERT INTO outbox ({", ".join(NOTICE)}) SELECT {", ".join(NOTICE)} FROM input i
    WHERE labels IN (SELECT labels FROM mine)
        OR NOT EXISTS (SELECT FROM jobs WHERE name = i.job)
    ORDER BY labels
    ON CONFLICT (digest) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in NOTICE[1:])}
    RETURNING job
)
SELECT DISTINCT job FROM input WHERE job NOT IN (SELECT job FROM saved)
"""  # noqa: S608
_NOTE: Final = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[])
        AS t (labels, told, opened_at, resolved_at)
), mine AS MATERIALIZED (
    SELECT o.digest, i.told FROM outbox o JOIN input i ON i.labels = o.labels
    WHERE i.told IS NOT NULL OR (
        o.opened_at = i.opened_at AND o.resolved_at IS NOT DISTINCT FROM i.resolved_at
    )
    ORDER BY o.labels FOR UPDATE OF o
), noted AS (
    UPDATE outbox o SET told = m.told FROM mine m
    WHERE o.digest = m.digest AND m.told IS NOT NULL
)
DELETE FROM outbox o USING mine m WHERE o.digest = m.digest AND m.told IS NULL
"""
_NOTE_COLUMNS: Final = ("labels", "told", "opened_at", "resolved_at")
_SELECT: Final = f"SELECT {', '.join(NOTICE)}, told FROM outbox"  # noqa: S608
_OF_JOBS: Final = f"{_SELECT} WHERE job = ANY($1::text[])"


async def save(
    connection: asyncpg.Connection, changes: Changes, stamps: Mapping[str, int]
) -> set[str]:
    """Write *changes*, except notifications of jobs that no longer have their *stamps*.

    Returns the names of these jobs.
    """
    overtaken: set[str] = set()
    if changes.notices:
        rows = [(*notice_row(one), stamps.get(one.job, 0)) for one in changes.notices]
        names = (*NOTICE, "stamp")
        jobs = await connection.fetch(_SAVE, *columns(names, rows))
        overtaken = {job for (job,) in jobs}
    notes: list[tuple[object, ...]] = [
        (labels, encode_deliveries(states), None, None)
        for labels, states in changes.deliveries.items()
    ]
    notes += [
        (one.labels, None, one.opened_at, one.resolved_at) for one in changes.removed
    ]
    if notes:
        await connection.execute(_NOTE, *columns(_NOTE_COLUMNS, notes))
    return overtaken


async def load(connection: asyncpg.Connection) -> Outboxed:
    """Return the stored notifications, and the deliveries of each."""
    return outbox_of(await connection.fetch(_SELECT))


async def of_jobs(
    connection: asyncpg.Connection, jobs: Collection[str]
) -> list[AlertNotification]:
    """Return the stored notifications of *jobs*."""
    notices, _ = outbox_of(await connection.fetch(_OF_JOBS, [*jobs]))
    return notices
