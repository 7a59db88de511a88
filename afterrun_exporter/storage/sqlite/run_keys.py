"""Rows of the table `run_keys`: keys of older runs, a chunk in each row."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from typing import Final

from afterrun_exporter.storage.run_keys import OlderKeys, joined

INSERT: Final = (
    "INSERT INTO run_keys (job_id, chunk, keys, received_at) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET keys = excluded.keys, received_at = excluded.received_at"
)
_SELECT: Final = """
SELECT j.name, k.chunk, k.keys FROM jobs j CROSS JOIN run_keys k ON k.job_id = j.id
WHERE j.name IN (SELECT value FROM json_each(?))
"""
_NEXT: Final = """
SELECT k.job_id, k.chunk, k.received_at, j.name FROM run_keys k
JOIN jobs j ON j.id = k.job_id
WHERE (k.job_id, k.chunk) > (?, ?) ORDER BY k.job_id, k.chunk LIMIT ?
"""
_DELETE: Final = "DELETE FROM run_keys WHERE job_id = ? AND chunk = ?"

#: The job and the chunk of a row.
Place = tuple[int, int]


def load(connection: sqlite3.Connection, jobs: Collection[str]) -> dict[str, OlderKeys]:
    """Return the stored keys of *jobs*, without jobs that have none."""
    chunks_by_job: dict[str, dict[int, bytes]] = {}
    for name, chunk, keys in connection.execute(_SELECT, (json.dumps([*jobs]),)):
        chunks_by_job.setdefault(name, {})[chunk] = keys
    return {name: joined(chunks) for name, chunks in chunks_by_job.items()}


def next_rows(
    connection: sqlite3.Connection, after: Place, limit: int
) -> list[tuple[Place, float, str]]:
    """Return place, end and job of each of the next rows."""
    rows = connection.execute(_NEXT, (*after, limit))
    return [((job_id, chunk), at, name) for job_id, chunk, at, name in rows]


def delete(connection: sqlite3.Connection, places: Collection[Place]) -> None:
    """Delete the rows at *places*."""
    connection.executemany(_DELETE, places)
