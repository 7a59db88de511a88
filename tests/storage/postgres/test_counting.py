"""Every run is counted once, by whichever replica, and however late it appears."""

from __future__ import annotations

import asyncio

import asyncpg

from afterrun_exporter.core.daily_figures import day_of
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.storage.daily_rows import STEP
from afterrun_exporter.storage.postgres import daily_figures
from afterrun_exporter.storage.postgres.daily_figures import Horizon, add_next_runs
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.store import Change, RunFilter, Store, update
from tests.postgres import Database
from tests.storage.decisions import T0, ran
from tests.storage.postgres.stores import LoneClock, replicas
from tests.storage.postgres.tables import add_runs, connected

TODAY = day_of(T0)
_LEFT = """
SELECT (SELECT run FROM counted) < $1 OR EXISTS (SELECT FROM unpunctual)
"""


async def counted(store: Store) -> int:
    period = await store.figures(TODAY, TODAY)
    jobs = sum(sum(one.runs) for one in period.jobs)
    assert jobs == sum(sum(one.runs) for one in period.days)
    return jobs


async def test_the_only_replica_counts_at_once(postgres: Database) -> None:
    async with PostgresStore.open(postgres.url, clock=LoneClock()) as store:
        await update(store, "backup", ran(T0))

        assert await counted(store) == 1


async def test_replicas_count_each_run_once(postgres: Database) -> None:
    """Also if they count at the same time."""
    runs, missed = 2 * STEP, 2 * STEP + 3
    async with connected(postgres) as one, connected(postgres) as other:
        await add_runs(one, range(1, 9), dict.fromkeys(range(runs // 8), T0))
        await one.executemany(
            "INSERT INTO unpunctual (job_id, day, missed, late) VALUES ($1, $2, 1, 0)",
            [(n % 7 + 1, TODAY) for n in range(missed)],
        )
        last = await one.fetchval("SELECT max(id) FROM runs")

        await asyncio.gather(count_all(one, last), count_all(other, last))
        figures = await one.fetch("SELECT job_id = 0, sum(ok), sum(missed) FROM days GROUP BY 1")  # fmt: skip

    assert sorted(map(tuple, figures)) == [
        (False, runs, missed),
        (True, runs, missed),
    ]


async def count_all(connection: asyncpg.Connection, last: int) -> None:
    """Count until nothing is left, also after another one was faster."""
    while await connection.fetchval(_LEFT, last):
        await add_next_runs(connection, last)


async def test_a_run_that_appears_late_is_counted(postgres: Database) -> None:
    """Its id was assigned before that of a run that is visible already."""
    clock = LoneClock()
    async with replicas(postgres, 2) as (store, _), connected(postgres) as slow:
        horizon = Horizon(lambda: store._writer.number, clock.elapsed)

        async def reached() -> int:
            async with connected(postgres) as connection:
                return await horizon.look(connection)

        transaction = slow.transaction()
        await transaction.start()
        await add_runs(slow, [1], {1: T0})
        await update(store, "backup", ran(T0))
        (first, second) = await both_ids(store, slow)

        assert (first, second) == (1, 2)
        assert await reached() == 0
        clock.ahead += daily_figures.SETTLED / 2
        assert await reached() == 0
        await transaction.commit()
        clock.ahead += daily_figures.SETTLED
        assert await reached() == second


async def both_ids(store: Store, slow: asyncpg.Connection) -> tuple[int, int]:
    """Return the id of the run that only *slow* can see, and that of the last one."""
    (record,) = await store.recorded_runs(RunFilter(limit=9))
    return await slow.fetchval("SELECT min(id) FROM runs"), record.id


async def test_another_replica_counts_after_a_while(postgres: Database) -> None:
    async with replicas(postgres, 2) as (store, other):
        await update(store, "backup", ran(T0, outcome=Outcome.FAIL))
        await store.update_all([Change("sync", ran(T0)) for _ in range(5)])

        assert await counted(store) == 0
        store._clock.ahead += daily_figures.SETTLED + 1  # type: ignore[attr-defined]
        assert await counted(store) == 6
        await other.replicas.catch_up()
        assert await counted(other) == 6
