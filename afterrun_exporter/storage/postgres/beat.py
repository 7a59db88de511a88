"""Signs of life of replicas: who writes, who leads, and when all of them were down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import asyncpg

from afterrun_exporter.storage.replicas import Downtime

#: Seconds for which a leader leads without a sign of life.
LEASE: Final = 3.0

#: Seconds without any sign of life that are a downtime of the whole service.
DOWN: Final = 10.0

#: Seconds between two downtimes that are one: what was due in the first may not be
#: decided yet.
APART: Final = 180.0

#: Seconds for which a replica counts as alive.
ALIVE: Final = 10.0

#: Minutes for which changes are kept for the other replicas, and writers afterwards.
FEED_KEPT: Final = 10
WRITERS_KEPT: Final = 20

_REGISTER: Final = """
WITH next AS (
    UPDATE counters SET value = greatest(value, $3) + 1 WHERE name = 'writer'
    RETURNING value
)
INSERT INTO writers (id, replica, config, seen_at)
SELECT value, $1, $2, clock_timestamp() FROM next RETURNING id
"""
# After a restore from a backup the numbers begin with those in the backup, which may be
# older than stamps of jobs if tables were restored one by one.
_ADVANCE: Final = """
UPDATE counters SET value = most.writer
FROM (SELECT coalesce(max(stamp), 0) >> 32 AS writer FROM jobs) AS most
WHERE name = 'writer' AND value < most.writer
"""
# A lease that ends later than any can was taken while the clock was ahead.
_BEAT: Final = f"""
WITH time AS MATERIALIZED (
    SELECT extract(epoch FROM clock_timestamp())::float8 AS now
), writer AS (
    UPDATE writers SET seen_at = clock_timestamp(), config = $3 WHERE id = $1
    RETURNING id
), lease AS (
    INSERT INTO leader AS l (one, replica, term, until)
    SELECT true, $2, 1, clock_timestamp() + $6::float8 * interval '1 s' WHERE $4
    ON CONFLICT (one) DO UPDATE
    SET replica = excluded.replica, until = excluded.until,
        term = l.term + (l.replica <> excluded.replica)::int
    WHERE l.replica = excluded.replica OR l.until < clock_timestamp()
        OR l.until > clock_timestamp() + $6::float8 * interval '2 s'
    RETURNING term
), alive AS (
    INSERT INTO service AS s (one, alive_at) SELECT true, now FROM time WHERE $5
    ON CONFLICT (one) DO UPDATE SET
        down_since = CASE WHEN s.alive_at < excluded.alive_at - $7::float8
                AND (s.alive_at < s.up_since + {APART}) IS NOT TRUE
            THEN s.alive_at ELSE s.down_since END,
        up_since = CASE WHEN s.alive_at < excluded.alive_at - $7::float8
            THEN excluded.alive_at ELSE s.up_since END,
        alive_at = CASE WHEN s.alive_at < excluded.alive_at + $7::float8
            THEN greatest(s.alive_at, excluded.alive_at) ELSE excluded.alive_at END
    RETURNING down_since, up_since
)
SELECT now, (SELECT id FROM writer), (SELECT term FROM lease), down_since, up_since
FROM time LEFT JOIN (
    SELECT * FROM alive
    UNION ALL SELECT down_since, up_since FROM service WHERE NOT $5
) AS known ON true
"""  # noqa: S608
_LEAVE: Final = """
WITH lease AS (
    UPDATE leader SET until = clock_timestamp() WHERE replica = $2
)
UPDATE writers SET seen_at = clock_timestamp() - interval '1 minute' WHERE replica = $2
    AND id <= $1
"""
_PRUNE: Final = f"""
WITH old AS (
    DELETE FROM feed WHERE at < clock_timestamp() - interval '{FEED_KEPT} minutes'
)
DELETE FROM writers WHERE seen_at < clock_timestamp() - interval '{WRITERS_KEPT} minutes'
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer of the database to a sign of life."""

    #: By its clock.
    now: float
    #: False if the writer was removed, because it was away for long.
    is_known: bool
    is_leader: bool
    last_downtime: Downtime | None


async def register(
    connection: asyncpg.Connection, replica: str, config: str, known_number: int
) -> int:
    """Return a number for a new writer, which no other one ever had.

    It is greater than *known_number*, the greatest known one: a server that was
    replaced by a standby, or restored, may lack the last numbers.
    """
    number: int = await connection.fetchval(_REGISTER, replica, config, known_number)
    return number


async def advance(connection: asyncpg.Connection) -> None:
    """Give out no number below those of the stored stamps."""
    await connection.execute(_ADVANCE, timeout=60.0)


async def beat(
    connection: asyncpg.Connection,
    writer: int,
    replica: str,
    config: str,
    *,
    may_lead: bool,
    records: bool,
) -> Pulse:
    """Give a sign of life; take or keep the lease if nobody else has it.

    Unless it *records* what is reported, it does not keep the service alive.
    """
    (row,) = await connection.fetch(
        _BEAT, writer, replica, config, may_lead, records, LEASE, DOWN
    )
    now, number, term, down_since, up_since = row
    downtime = None if up_since is None else Downtime(down_since, up_since)
    return Pulse(now, number is not None, term is not None, downtime)


async def leave(connection: asyncpg.Connection, writer: int, replica: str) -> None:
    """Release the lease, and count no longer as alive."""
    await connection.execute(_LEAVE, writer, replica)


async def prune(connection: asyncpg.Connection) -> None:
    """Delete changes that all replicas have read, and writers of long ago."""
    await connection.execute(_PRUNE)
