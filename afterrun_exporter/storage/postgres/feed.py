"""The feed: the commits of other replicas, read by polling.

Each writer has one commit in flight, so its commits appear in the order of their stamps,
and a reader that remembers the last stamp of each writer misses none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import asyncpg

from afterrun_exporter.storage.postgres.writes import COUNTER_BITS

#: Commits of one writer to read at once.
STEP: Final = 500

_HEADS: Final = f"""
SELECT w.id, (
    SELECT stamp FROM feed
    WHERE stamp >= w.id << {COUNTER_BITS} AND stamp < (w.id + 1) << {COUNTER_BITS}
    ORDER BY stamp DESC LIMIT 1
) FROM writers w
"""  # noqa: S608
_POLL: Final = f"""
SELECT w.id, w.replica, w.config,
    extract(epoch FROM clock_timestamp() - w.seen_at)::float8,
    f.stamp, f.ids, f.outbox, ARRAY(SELECT number FROM revisions ORDER BY topic)
FROM writers w
LEFT JOIN unnest($1::int8[], $2::int8[]) AS l (id, last) ON l.id = w.id
LEFT JOIN LATERAL (
    SELECT stamp, ids, outbox FROM feed
    WHERE stamp > coalesce(l.last, w.id << {COUNTER_BITS})
        AND stamp < (w.id + 1) << {COUNTER_BITS} AND w.id <> $3
    ORDER BY stamp LIMIT {STEP}
) f ON true
ORDER BY w.id, f.stamp
"""  # noqa: S608


@dataclass(slots=True)
class News:
    """The result of a poll."""

    #: Ids of the jobs that others changed, and of those whose notifications changed.
    jobs: set[int] = field(default_factory=set)
    outbox: set[int] = field(default_factory=set)
    #: The live replicas: of each its configuration.
    replicas: dict[str, str] = field(default_factory=dict)
    #: The revision of each topic, in order of their names.
    revisions: tuple[int, ...] = ()
    #: The last stamp of each writer that others used.
    heads: dict[int, int] = field(default_factory=dict)
    #: True if there may be more.
    is_cut: bool = False


async def heads(connection: asyncpg.Connection) -> dict[int, int]:
    """Return the last stamp of each writer."""
    return {
        writer: stamp or writer << COUNTER_BITS
        for writer, stamp in await connection.fetch(_HEADS)
    }


async def poll(
    connection: asyncpg.Connection, after: dict[int, int], own: int, alive: float
) -> News:
    """Return the commits after the stamps in *after*, without those of *own*.

    Replicas are alive if they gave a sign of life in the last *alive* seconds.
    """
    news = News()
    rows = await connection.fetch(_POLL, [*after], [*after.values()], own)
    count: dict[int, int] = {}
    for writer, replica, config, age, stamp, ids, has_outbox, revisions in rows:
        news.revisions = tuple(revisions)
        if age < alive:
            # The newest writer of a replica has its present configuration.
            news.replicas[replica] = config
        news.heads.setdefault(writer, after.get(writer, writer << COUNTER_BITS))
        if stamp is None:
            continue
        count[writer] = count.get(writer, 0) + 1
        news.heads[writer] = stamp
        news.jobs.update(ids)
        if has_outbox:
            news.outbox.update(ids)
    news.is_cut = max(count.values(), default=0) >= STEP
    return news
