"""Rows of the table `outbox`: alert notifications and their deliveries."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import asyncpg

from afterrun_exporter.core.notifications import AlertNotification
from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.rows import (
    NOTICE,
    Outboxed,
    encode_deliveries,
    notice_row,
    outbox_of,
)

# Rows are locked in one order by all transactions: otherwise two could wait for each
# other. An alert that another replica has opened again is not deleted. The texts have
# only constants.
_SAVE: Final = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[],
        $7::float8[], $8::float8[]
    ) AS t ({", ".join(NOTICE)}) ORDER BY labels
)
INSERT INTO outbox ({", ".join(NOTICE)}) SELECT * FROM input
ON CONFLICT (digest) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in NOTICE[1:])}
"""  # noqa: S608
_NOTE: Final = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[]) AS t (labels, told)
), mine AS MATERIALIZED (
    SELECT o.digest, i.told FROM outbox o JOIN input i ON i.labels = o.labels
    ORDER BY o.labels FOR UPDATE OF o
), noted AS (
    UPDATE outbox o SET told = m.told FROM mine m
    WHERE o.digest = m.digest AND m.told IS NOT NULL
)
DELETE FROM outbox o USING mine m
WHERE o.digest = m.digest AND m.told IS NULL AND o.resolved_at IS NOT NULL
"""
_SELECT: Final = f"SELECT {', '.join(NOTICE)}, told FROM outbox"  # noqa: S608
_OF_JOBS: Final = f"{_SELECT} WHERE job = ANY($1::text[])"


async def save(connection: asyncpg.Connection, changes: Changes) -> None:
    """Write *changes*, inside a transaction of the caller."""
    if changes.notices:
        rows = [notice_row(notice) for notice in changes.notices]
        await connection.execute(_SAVE, *map(list, zip(*rows, strict=True)))
    labels = [*changes.deliveries, *changes.removed]
    if labels:
        states = [encode_deliveries(one) for one in changes.deliveries.values()]
        await connection.execute(_NOTE, labels, [*states, *(None for _ in changes.removed)])  # fmt: skip


async def load(connection: asyncpg.Connection) -> Outboxed:
    """Return the stored notifications, and the deliveries of each."""
    return outbox_of(await connection.fetch(_SELECT))


async def of_jobs(
    connection: asyncpg.Connection, jobs: Collection[str]
) -> list[AlertNotification]:
    """Return the stored notifications of *jobs*."""
    notices, _ = outbox_of(await connection.fetch(_OF_JOBS, [*jobs]))
    return notices
