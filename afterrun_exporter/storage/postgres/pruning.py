"""Deletion of old runs, keys, logs, alerts and figures, in small steps.

The runs of a UTC day are in one partition, which is dropped when all of them are too old;
so the oldest ones may be kept for up to a day longer. All others are deleted one by one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

import asyncpg

from afterrun_exporter.core.daily_figures import day_of
from afterrun_exporter.storage.postgres import daily_figures, partitions, run_keys
from afterrun_exporter.storage.run_keys import CHUNK

#: Rows to check in one step.
STEP: Final = 1000
#: Jobs to check in one step.
JOBS: Final = 500

#: Last runs of jobs that move when a partition is dropped, while others wait. With more
#: of them, its runs are deleted one by one.
MOST_KEPT: Final = 1000

#: Runs of a partition that are counted; the number of more of them is estimated.
MOST_COUNTED: Final = 100_000

T = TypeVar("T")

# Runs that are not yet in the figures of their days are kept. The texts have only
# constants.
_COUNTED: Final = "id <= (SELECT run FROM counted)"
_NEXT: Final = f"""
SELECT id, job_id, number, received_at FROM {{}}
WHERE id > $1 AND {_COUNTED} ORDER BY id LIMIT $2
"""  # noqa: S608
_DELETE: Final = "DELETE FROM {} WHERE id = ANY($1::int8[])"
_IS_COUNTED: Final = (
    "SELECT coalesce(max(id) <= (SELECT run FROM counted), true) FROM {}"
)
_LAST: Final = """
SELECT r.id FROM unnest($1::int8[], $2::int8[]) AS t (job_id, number)
JOIN {} r ON r.job_id = t.job_id AND r.number = t.number
"""
_SIZE: Final = """
SELECT count(*), (SELECT reltuples::int8 FROM pg_class WHERE oid = $2::text::regclass)
FROM (SELECT FROM {} LIMIT $1) AS t
"""
_SURPLUS: Final = f"""
SELECT r.id FROM unnest($1::int8[], $2::int8[]) AS t (job_id, bound)
CROSS JOIN LATERAL (
    SELECT id FROM runs WHERE job_id = t.job_id AND number <= t.bound AND {_COUNTED}
    ORDER BY number LIMIT $3
) r LIMIT $3
"""  # noqa: S608
_LOGS: Final = """
DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE at < $1 LIMIT $2)
"""
_ALERTS: Final = """
DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at < $1 LIMIT $2)
"""


class Write(Protocol):
    """Calls a function with a connection, with other uses between two calls."""

    def __call__(
        self, act: Callable[[asyncpg.Connection], Awaitable[T]], /
    ) -> Awaitable[T]:
        """Return the result of *act*."""


async def prune_runs(
    write: Write, newest: Mapping[int, int], before: float, runs_per_job: int
) -> int:
    """Delete the runs from before *before*, and those beyond *runs_per_job*.

    *newest* has by the id of each job the number of its last run, which is kept. Returns
    the number of deleted runs.
    """
    limit = max(1, runs_per_job)
    pruned = 0
    for day in await write(partitions.days):
        if day < day_of(before):
            pruned += await _prune_day(write, day, newest, before)
    pruned += await _prune_table(write, partitions.OTHER, newest, before)
    jobs = ((id_, last - limit) for id_, last in newest.items() if last > limit)
    for some in _steps(jobs):
        ids, bounds = [*some], [*some.values()]
        count = STEP
        while count == STEP:
            surplus = await write(_reads(_SURPLUS, ids, bounds, STEP))
            count = len(surplus)
            if surplus:
                old = [id_ for (id_,) in surplus]
                await write(_executes(_DELETE.format("runs"), old))
            pruned += count
    return pruned


async def _prune_day(
    write: Write, day: int, newest: Mapping[int, int], before: float
) -> int:
    """Delete the runs of *day*, which are all old."""
    name = partitions.name_of(day)
    is_counted = await write(_reads(_IS_COUNTED.format(name)))
    if not (is_counted and is_counted[0][0]):
        return 0
    last_runs: list[int] = []
    for some in _steps(newest.items()):
        rows = await write(_reads(_LAST.format(name), [*some], [*some.values()]))
        last_runs += [id_ for (id_,) in rows]
        if len(last_runs) > MOST_KEPT:
            return await _prune_table(write, name, newest, before)
    sizes = await write(_reads(_SIZE.format(name), MOST_COUNTED + 1, name))
    count, estimate = sizes[0] if sizes else (0, 0)
    is_dropped = await write(lambda one: partitions.drop(one, day, last_runs))
    size = max(count, estimate) if count > MOST_COUNTED else count
    return max(0, size - len(last_runs)) if is_dropped else 0


async def _prune_table(
    write: Write, table: str, newest: Mapping[int, int], before: float
) -> int:
    """Delete the old runs of a partition one by one."""
    pruned, position, rows = 0, -1, STEP
    while rows == STEP:
        some = await write(_reads(_NEXT.format(table), position, STEP))
        rows = len(some)
        old = [
            id_
            for id_, job_id, number, received_at in some
            if received_at < before and number != newest.get(job_id)
        ]
        if old:
            await write(_executes(_DELETE.format(table), old))
        pruned += len(old)
        position = some[-1][0] if some else position
    return pruned


async def prune_keys(
    write: Write, newest: Mapping[int, int], before: float, runs_per_job: int
) -> set[int]:
    """Delete the keys of runs that are all pruned; return the ids of their jobs."""
    jobs: set[int] = set()
    place, rows = (0, 0), STEP
    while rows == STEP:
        some = await write(partial(run_keys.next_rows, after=place, limit=STEP))
        rows = len(some)
        old = [
            (job_id, chunk)
            for (job_id, chunk), received_at in some
            if received_at < before
            or chunk * CHUNK <= newest.get(job_id, 0) - runs_per_job
        ]
        if old:
            await write(partial(run_keys.delete, places=old))
        jobs.update(job_id for job_id, _ in old)
        place = some[-1][0] if some else place
    return jobs


async def prune_rest(write: Write, logs_before: float, alerts_before: float) -> None:
    """Delete old logs and resolved alerts."""
    for sql, before in ((_LOGS, logs_before), (_ALERTS, alerts_before)):
        while _count(await write(_executes(sql, before, STEP))) == STEP:
            pass


async def prune_figures(write: Write, first: int) -> None:
    """Delete the figures of days before *first*."""
    position: daily_figures.Position | None = ((0, 0), first)
    while position is not None:
        position = await write(partial(daily_figures.prune, position=position))


def _steps(jobs: Iterable[tuple[int, int]]) -> Iterator[dict[int, int]]:
    rest = iter(jobs)
    while some := dict(islice(rest, JOBS)):
        yield some


def _reads(
    sql: str, *values: object
) -> Callable[[asyncpg.Connection], Awaitable[list[asyncpg.Record]]]:
    async def act(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        # Another replica may have dropped the partition.
        with suppress(asyncpg.UndefinedTableError):
            return await connection.fetch(sql, *values)
        return []

    return act


def _executes(
    sql: str, *values: object
) -> Callable[[asyncpg.Connection], Awaitable[str]]:
    async def act(connection: asyncpg.Connection) -> str:
        with suppress(asyncpg.UndefinedTableError):
            return await connection.execute(sql, *values)
        return "DELETE 0"

    return act


def _count(status: str) -> int:
    """Return the number of rows in the status of a statement: "DELETE 12"."""
    return int(status.rpartition(" ")[2])
