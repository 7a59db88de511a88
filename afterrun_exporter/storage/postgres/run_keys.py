"""Rows of the table `run_keys`: keys of older runs, a chunk in each row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import asyncpg

from afterrun_exporter.storage.run_keys import OlderKeys, joined

_SELECT: Final = """
SELECT j.name, k.chunk, k.keys FROM jobs j JOIN run_keys k ON k.job_id = j.id
WHERE j.name = ANY($1::text[])
"""
_NEXT: Final = """
SELECT job_id, chunk, received_at FROM run_keys
WHERE (job_id, chunk) > ($1, $2) ORDER BY job_id, chunk LIMIT $3
"""
_DELETE: Final = """
DELETE FROM run_keys k USING unnest($1::int8[], $2::int8[]) AS t (job_id, chunk)
WHERE k.job_id = t.job_id AND k.chunk = t.chunk
"""

#: The id of a job, and the chunk of a row.
Place = tuple[int, int]


async def load(
    connection: asyncpg.Connection, jobs: Collection[str]
) -> dict[str, OlderKeys]:
    """Return the stored keys of *jobs*, without jobs that have none."""
    chunks_by_job: dict[str, dict[int, bytes]] = {}
    for name, chunk, keys in await connection.fetch(_SELECT, [*jobs]):
        chunks_by_job.setdefault(name, {})[chunk] = keys
    return {name: joined(chunks) for name, chunks in chunks_by_job.items()}


async def next_rows(
    connection: asyncpg.Connection, after: Place, limit: int
) -> list[tuple[Place, float]]:
    """Return place and end of each of the next rows."""
    rows = await connection.fetch(_NEXT, *after, limit)
    return [((job_id, chunk), at) for job_id, chunk, at in rows]


async def delete(connection: asyncpg.Connection, places: Collection[Place]) -> None:
    """Delete the rows at *places*."""
    await connection.execute(_DELETE, *([*column] for column in zip(*places, strict=True)))  # fmt: skip
