"""Rows of the table `receivers`: notification targets of one job."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import asyncpg

from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.storage.postgres.texts import columns
from afterrun_exporter.storage.rows import RECEIVER, receiver_of

# Each change is one statement, together with the number by which others notice it. Ids
# are assigned in the order of the rows. The texts have only constants.
_ADD: Final = f"""
WITH changed AS (
    UPDATE revisions SET number = number + 1 WHERE topic = 'receivers'
)
INSERT INTO receivers ({", ".join(RECEIVER)})
SELECT {", ".join(RECEIVER)} FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bool[], $5::bool[], $6::bool[], $7::bool[],
    $8::bool[], $9::float8[]
) WITH ORDINALITY AS t ({", ".join(RECEIVER)}, place)
ORDER BY place RETURNING id
"""  # noqa: S608
_REMOVE: Final = """
WITH gone AS (
    DELETE FROM receivers WHERE id = ANY($1::int8[]) RETURNING id
)
UPDATE revisions SET number = number + 1
WHERE topic = 'receivers' AND EXISTS (SELECT FROM gone)
"""


async def add(
    connection: asyncpg.Connection, added: Sequence[JobReceiver]
) -> list[JobReceiver]:
    """Store the receivers *added*; return them with their ids."""
    if not added:
        return []
    rows = ([getattr(one, name) for name in RECEIVER] for one in added)
    ids = await connection.fetch(_ADD, *columns(RECEIVER, rows))
    return [
        replace(one, id=id_)
        for one, id_ in zip(added, sorted(id_ for (id_,) in ids), strict=True)
    ]


async def remove(connection: asyncpg.Connection, numbers: Collection[int]) -> None:
    """Delete the receivers with these ids; missing ones are ignored."""
    await connection.execute(_REMOVE, [*numbers])


async def receivers(connection: asyncpg.Connection) -> list[JobReceiver]:
    """Return all receivers, in the order of their creation."""
    rows = await connection.fetch("SELECT * FROM receivers ORDER BY id")
    return [receiver_of(row) for row in rows]
