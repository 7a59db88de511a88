"""Reading the states of jobs: all of them at the start, and later those that changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.history import Past, pack
from afterrun_exporter.core.model import NEUTRAL, Outcome, is_to_be_retried
from afterrun_exporter.core.state import JobState
from afterrun_exporter.storage.codec import (
    UNDECODABLE,
    UnreadableRowError,
    decode_state,
)
from afterrun_exporter.storage.group_commit import Committed
from afterrun_exporter.storage.postgres import texts

#: Rows to read at once.
STEP: Final = 2000

#: Seconds for a statement at the start.
PATIENCE: Final = 60.0

_NEXT: Final = """
SELECT id, name, stamp, state, seen FROM jobs
WHERE id > $1 AND state IS NOT NULL ORDER BY id LIMIT $2
"""
#: Texts as bytes: each job that another replica changes is read so, and to decode them
#: here costs less. The JSON of a state escapes all that `texts` would.
_SOME: Final = """
SELECT id, convert_to(name, 'UTF8'), stamp, convert_to(state, 'UTF8'), seen FROM jobs
WHERE id = ANY($1::int8[]) AND state IS NOT NULL
"""
_STAMPS: Final = """
SELECT id, name, stamp FROM jobs
WHERE id > $1 AND state IS NOT NULL ORDER BY id LIMIT $2
"""
_RUNS: Final = """
SELECT r.job_id, r.number, r.finished_at, r.duration, r.outcome, r.attempt,
    r.max_attempts
FROM unnest($1::int8[], $2::int8[]) AS t (job_id, number)
JOIN runs r ON r.job_id = t.job_id AND r.number > t.number
"""


@dataclass(slots=True)
class Jobs:
    """The jobs of the database: by name their ids, their stamps and their states."""

    ids: dict[str, int] = field(default_factory=dict)
    stamps: dict[str, int] = field(default_factory=dict)
    states: dict[str, JobState] = field(default_factory=dict)


async def load(connection: asyncpg.Connection) -> Jobs:
    """Return all jobs. Raises UnreadableRowError."""
    jobs, last = Jobs(), 0
    while rows := await connection.fetch(_NEXT, last, STEP, timeout=PATIENCE):
        last = rows[-1][0]
        async for id_, name, stamp, text, keys in cooperatively(rows):
            jobs.ids[name], jobs.stamps[name] = id_, stamp
            jobs.states[name] = _decoded(name, text, keys)
    return jobs


async def changed(
    connection: asyncpg.Connection,
    ids: Collection[int],
    stamps: Mapping[str, int],
    last_run_known: Callable[[str], int | None],
) -> tuple[dict[str, int], dict[str, Committed]]:
    """Return those of the jobs with *ids* that do not have their stamp in *stamps*.

    First the ids of all by name; then the jobs as committed, with the runs after the
    last known one of those that have windows. Raises UnreadableRowError.
    """
    names: dict[str, int] = {}
    committed: dict[str, Committed] = {}
    rows = await connection.fetch(_SOME, [*ids])
    for id_, stored_name, stamp, text, keys in rows:
        name = texts.decode(stored_name)
        names[name] = id_
        if stamps.get(name) != stamp:
            committed[name] = Committed(_decoded(name, text, keys), stamp)
    last_runs = {names[name]: last_run_known(name) for name in committed}
    after = {id_: number for id_, number in last_runs.items() if number is not None}
    if after:
        runs = await _runs(connection, after)
        for name, one in committed.items():
            committed[name] = one._replace(runs=pack(runs.get(names[name], ())))
    return names, committed


async def differing(
    connection: asyncpg.Connection, stamps: Mapping[str, int]
) -> list[int]:
    """Return the ids of all jobs that do not have their stamp in *stamps*."""
    ids: list[int] = []
    last = 0
    step = 10 * STEP
    while rows := await connection.fetch(_STAMPS, last, step, timeout=PATIENCE):
        last = rows[-1][0]
        async for id_, name, stamp in cooperatively(rows):
            if stamps.get(name) != stamp:
                ids.append(id_)
    return ids


async def _runs(
    connection: asyncpg.Connection, after: Mapping[int, int]
) -> Mapping[int, Sequence[Past]]:
    """Return the runs of jobs *after* these numbers, for windows."""
    runs: defaultdict[int, list[Past]] = defaultdict(list)
    rows = await connection.fetch(_RUNS, [*after], [*after.values()])
    for job_id, number, finished_at, duration, outcome, attempt, most in rows:
        if outcome not in NEUTRAL and not is_to_be_retried(attempt, most, outcome):
            seconds = float("nan") if duration is None else duration
            is_ok = outcome == Outcome.OK
            runs[job_id].append(Past(number, finished_at, seconds, is_ok))
    return runs


def _decoded(name: str, text: str | bytes, keys: bytes) -> JobState:
    try:
        return decode_state(text, keys)
    except UNDECODABLE as error:
        raise UnreadableRowError("state", name, error) from error
