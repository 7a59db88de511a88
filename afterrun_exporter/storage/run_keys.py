"""Keys of finished runs, by which a repeat is recognised as long as its run is kept.

The newest are in the row of their job. Older ones are written 32 at a time, which costs
a report almost nothing, and are read when a report of their job cannot be told from a
repeat without them. Then they stay in memory, for the jobs that reported last.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from afterrun_exporter.core.repeats import KEY_SIZE, NO_KEY, REMEMBERED, shortened
from afterrun_exporter.core.state import JobState, Transition

#: Keys in one row of the table `run_keys`.
CHUNK: Final = REMEMBERED

#: Bytes of the keys in memory at most, those of the last 32 runs of each job aside:
#: 8 bytes a run.
MEMORY: Final = 64 * 1024 * 1024

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
_NO_KEYS: Final = NO_KEY * CHUNK
_DELETE: Final = "DELETE FROM run_keys WHERE job_id = ? AND chunk = ?"

#: The job and the chunk of a row.
Place = tuple[int, int]


class OlderKeys(NamedTuple):
    """Keys of runs with consecutive numbers, the last of which is *through*."""

    keys: bytes = b""
    through: int = 0


def rows_of(job_id: int, made: Transition) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that the runs of *made* complete."""
    state, runs = made.state, made.runs
    last = state.recorded
    before = last - len(runs)
    for chunk in range(before // CHUNK + 1, last // CHUNK + 1):
        end = len(state.seen) - (last - chunk * CHUNK) * KEY_SIZE
        keys = state.seen[max(0, end - CHUNK * KEY_SIZE) : max(0, end)]
        if keys.strip(NO_KEY[:1]):
            received_at = runs[chunk * CHUNK - before - 1].received_at
            yield job_id, chunk, keys.rjust(CHUNK * KEY_SIZE, b"\0"), received_at


def load(connection: sqlite3.Connection, jobs: Collection[str]) -> dict[str, OlderKeys]:
    """Return the keys that are stored of *jobs*; a job that has none is left out."""
    found: dict[str, dict[int, bytes]] = {}
    for name, chunk, keys in connection.execute(_SELECT, (json.dumps([*jobs]),)):
        found.setdefault(name, {})[chunk] = keys
    return {name: _joined(chunks) for name, chunks in found.items()}


def _joined(chunks: Mapping[int, bytes]) -> OlderKeys:
    first, last = min(chunks), max(chunks)
    # Where no run had an id, there is no row.
    rows = (chunks.get(chunk, _NO_KEYS) for chunk in range(first, last + 1))
    return OlderKeys(b"".join(rows), last * CHUNK)


def next_rows(
    connection: sqlite3.Connection, after: Place, limit: int
) -> list[tuple[Place, float, str]]:
    """Return the place of each of the next rows, when it ends, and the name of its job."""
    rows = connection.execute(_NEXT, (*after, limit))
    return [((job_id, chunk), at, name) for job_id, chunk, at, name in rows]


def delete(connection: sqlite3.Connection, places: Collection[Place]) -> None:
    """Delete the rows at *places*."""
    connection.executemany(_DELETE, places)


class KeysInMemory:
    """Bounds the memory of the keys in *states*."""

    def __init__(self, states: dict[str, JobState], most: int) -> None:
        self._states = states
        self._most = most
        #: Bytes of each job that has more keys than are stored with its state, those
        #: that reported last at the end.
        self._sizes: dict[str, int] = {}
        self._total = 0

    def note(self, states: Mapping[str, JobState]) -> None:
        """Take note of *states* that have been committed."""
        for name, state in states.items():
            size = len(state.seen)
            if size > REMEMBERED * KEY_SIZE:
                self._total += size - self._sizes.pop(name, 0)
                self._sizes[name] = size

    def make_room(self) -> None:
        """Forget the keys of those that have not reported for the longest time."""
        while self._total > self._most:
            self.forget([next(iter(self._sizes))])

    def forget(self, jobs: Collection[str]) -> None:
        """Leave of *jobs* the keys that are stored with their states."""
        for name in jobs:
            self._total -= self._sizes.pop(name, 0)
            if state := self._states.get(name):
                self._states[name] = shortened(state)
