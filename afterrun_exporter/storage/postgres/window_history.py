"""Histories for the windows of rules, read from the stored runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import Final

import asyncpg

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.history import Past, pack
from afterrun_exporter.storage.rows import past_of

#: Jobs to read at once.
STEP: Final = 500

# The runs of these jobs that were received after $2: a run that ended later cannot have
# been received earlier.
_RUNS: Final = """
SELECT j.name, r.number, r.finished_at, r.duration, r.outcome, r.attempt, r.max_attempts
FROM jobs j CROSS JOIN LATERAL (
    SELECT number, finished_at, duration, outcome, attempt, max_attempts
    FROM runs WHERE job_id = j.id AND received_at > $2 ORDER BY number DESC LIMIT $3
) r WHERE j.name = ANY($1::text[])
"""


async def histories(
    connection: asyncpg.Connection, reach: Mapping[str, float], now: float, limit: int
) -> dict[str, bytes]:
    """See `Store.histories`."""
    histories_by_job: dict[str, bytes] = {}
    # Jobs with similar reach together.
    names = iter(sorted(reach, key=lambda name: reach[name]))
    while step := list(islice(names, STEP)):
        since = now - max(reach[name] for name in step)
        rows = await connection.fetch(_RUNS, step, since, limit)
        past: defaultdict[str, list[Past]] = defaultdict(list)
        async for job, *values in cooperatively(rows):
            past[job].extend(past_of(*values))
        histories_by_job.update((name, pack(past[name])) for name in step)
    return histories_by_job
