"""Histories for the windows of rules, read from the stored runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import Final

import aiosqlite

from afterrun_exporter.core.history import Past, pack
from afterrun_exporter.storage.rows import past_of

#: Jobs to read at once.
STEP: Final = 500

# The runs of these jobs, newest first, each along its chain, if they were received
# after ?2: a run that ended later cannot have been received earlier.
_CHAINS: Final = """
WITH RECURSIVE chain (job, id, place) AS (
    SELECT name, last_run, 1 FROM jobs WHERE name IN (SELECT value FROM json_each(?1))
    UNION ALL
    SELECT chain.job, r.previous_id, place + 1 FROM chain JOIN runs r ON r.id = chain.id
    WHERE r.received_at > ?2 AND place < ?3
)
SELECT chain.job, r.number, r.finished_at, r.duration, r.outcome, r.attempt,
    r.max_attempts
FROM chain JOIN runs r ON r.id = chain.id WHERE r.received_at > ?2
"""


async def histories(
    reader: aiosqlite.Connection, reach: Mapping[str, float], now: float, limit: int
) -> dict[str, bytes]:
    """See `Store.histories`."""
    histories_by_job: dict[str, bytes] = {}
    # Jobs with similar reach together.
    names = iter(sorted(reach, key=lambda name: reach[name]))
    while step := list(islice(names, STEP)):
        since = now - max(reach[name] for name in step)
        rows = await reader.execute_fetchall(_CHAINS, (json.dumps(step), since, limit))
        past: defaultdict[str, list[Past]] = defaultdict(list)
        for job, *values in rows:
            past[job].extend(past_of(*values))
        histories_by_job.update((name, pack(past[name])) for name in step)
    return histories_by_job
