"""Runs of one day are dropped together, without a stop for anybody."""

from __future__ import annotations

import asyncio

import pytest

from afterrun_exporter.core.daily_figures import DAY, day_of
from afterrun_exporter.storage.postgres import daily_figures, partitions, pruning
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.store import Change, update
from tests.postgres import Database, PgBouncer
from tests.storage.decisions import logged, opened, ran, resolved
from tests.storage.postgres.stores import LoneClock, replicas
from tests.storage.postgres.tables import Writing, add_jobs, add_runs, connected

NOW = LoneClock().now()
TODAY = day_of(NOW)
OLD = TODAY - 9
NOON = OLD * DAY + DAY / 2
BIG_BANG = -1e9
EVERYTHING = 1_000_000


async def partition_of(database: Database) -> dict[str, int]:
    """Return the number of runs in each partition that has some."""
    rows = database.psql("SELECT tableoid::regclass, count(*) FROM runs GROUP BY 1")
    pairs = (row.split("|") for row in rows.splitlines())
    return {name: int(count) for name, count in pairs}


async def test_days_have_a_partition_in_advance(postgres: Database) -> None:
    """Replicas that start at once create each of them once."""
    began = LoneClock().now()
    async with replicas(postgres), connected(postgres) as connection:
        days = await partitions.days(connection)

    yesterday = day_of(began) - 1
    assert days[:4] == [*range(yesterday, yesterday + 4)]


async def test_runs_are_in_the_partition_of_their_day(postgres: Database) -> None:
    async with PostgresStore.open(postgres.url, clock=LoneClock()) as store:
        await update(store, "backup", ran(NOW))
        await update(store, "backup", ran(NOON))

    assert await partition_of(postgres) == {
        partitions.name_of(TODAY): 1,
        partitions.OTHER: 1,
    }


async def test_a_day_with_runs_elsewhere_gets_no_partition(postgres: Database) -> None:
    async with connected(postgres) as connection:
        await add_runs(connection, [1], {1: NOON})

        await partitions.create(connection, OLD)
        await partitions.create(connection, OLD + 1)

        assert await partitions.days(connection) == [OLD + 1]


async def test_replicas_that_create_a_day_at_once_create_it_once(
    postgres: Database,
) -> None:
    """Which error the later one gets depends on the moment."""
    async with connected(postgres) as one, connected(postgres) as another:
        for day in range(OLD, OLD + 15):
            await asyncio.gather(
                partitions.create(one, day), partitions.create(another, day)
            )
        assert await partitions.days(one) == [*range(OLD, OLD + 15)]

        await one.execute(f"CREATE TYPE {partitions.name_of(OLD - 1)} AS ENUM ()")
        await partitions.create(another, OLD - 1)


async def test_old_days_are_dropped_without_the_last_runs_of_jobs(
    postgres: Database,
) -> None:
    async with connected(postgres) as connection:
        await partitions.create(connection, OLD)
    async with PostgresStore.open(postgres.url, clock=LoneClock()) as store:
        await store.update_all(
            [
                *(Change("backup", ran(NOON)) for _ in range(3)),
                *(Change("dead", ran(NOON)) for _ in range(3)),
            ]
        )
        await update(store, "backup", ran(NOW))

        assert await store.prune((OLD + 1) * DAY, EVERYTHING, BIG_BANG) == 5
        assert await store.prune((OLD + 1) * DAY, EVERYTHING, BIG_BANG) == 0
        assert [run.number for run in await store.runs("backup", 9)] == [4]
        assert [run.number for run in await store.runs("dead", 9)] == [3]
        period = await store.figures(OLD, TODAY)
        assert sum(sum(one.runs) for one in period.jobs) == 7

    async with connected(postgres) as connection:
        assert OLD not in await partitions.days(connection)


async def test_a_day_is_dropped_when_all_of_it_is_old(postgres: Database) -> None:
    async with connected(postgres) as connection:
        await partitions.create(connection, OLD)
    async with PostgresStore.open(postgres.url, clock=LoneClock()) as store:
        for _ in range(2):
            await update(store, "backup", ran(NOON))

        assert await store.prune((OLD + 1) * DAY - 1, EVERYTHING) == 0
        assert await store.prune(BIG_BANG, 1) == 1
        assert [run.number for run in await store.runs("backup", 9)] == [2]


async def test_a_reader_that_stays_delays_a_drop_and_nobody_else(
    postgres: Database,
) -> None:
    async with connected(postgres) as reader, connected(postgres) as connection:
        await partitions.create(connection, OLD)
        await add_runs(connection, [1], {1: NOON, 2: NOON})
        last = await connection.fetchval("SELECT max(id) FROM runs")

        async with reader.transaction():
            await reader.fetch("SELECT * FROM runs")
            is_dropped = await partitions.drop(connection, OLD, [last])
            await add_runs(connection, [1], {3: NOON})

        assert not is_dropped
        assert await partitions.drop(connection, OLD, [last])
        assert await partition_of(postgres) == {partitions.OTHER: 1}


async def test_two_replicas_drop_a_day_once(postgres: Database) -> None:
    async with connected(postgres) as connection:
        await partitions.create(connection, OLD)
        await add_runs(connection, [1], {1: NOON})

        assert await partitions.drop(connection, OLD, [1])
        assert await partitions.drop(connection, OLD, [1])
        assert await partition_of(postgres) == {partitions.OTHER: 1}


async def test_a_day_with_many_last_runs_is_emptied_run_by_run(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others would have to wait while so many move; they may end later."""
    monkeypatch.setattr(pruning, "MOST_KEPT", 2)
    async with connected(postgres) as connection:
        await partitions.create(connection, OLD)
    async with PostgresStore.open(postgres.url, clock=LoneClock()) as store:
        jobs = ("a", "b", "c")
        await store.update_all([Change(job, ran(NOON)) for job in jobs * 2])

        assert await store.prune(TODAY * DAY, EVERYTHING) == 3
        assert await partition_of(postgres) == {partitions.name_of(OLD): 3}

        await update(store, "a", ran(NOW))
        assert await store.prune(TODAY * DAY, EVERYTHING) == 1
        assert [run.number for run in await store.runs("b", 9)] == [2]
        assert partitions.name_of(OLD) not in await partition_of(postgres)


async def test_runs_that_are_not_counted_yet_are_kept(postgres: Database) -> None:
    async with connected(postgres) as connection:
        await add_jobs(connection, 1)
        for day in (OLD, TODAY):
            await partitions.create(connection, day)
        await add_runs(connection, [1], {1: NOON, 2: NOON, 3: NOON - 99 * DAY, 4: NOW})

        write = Writing(connection)
        await connection.execute("UPDATE counted SET run = 1")
        before = await pruning.prune_runs(write, {1: 4}, TODAY * DAY, 1)
        await connection.execute("UPDATE counted SET run = 4")
        after = await pruning.prune_runs(write, {1: 4}, TODAY * DAY, EVERYTHING)

    assert (before, after) == (1, 2)


async def test_two_replicas_prune_at_once(postgres: Database) -> None:
    """Each run is deleted once, and no other one."""
    async with connected(postgres) as connection:
        await partitions.create(connection, OLD)
    async with replicas(postgres) as (store, other):
        await store.update_all(
            [
                Change(f"job-{number % 5}", ran(at, message="m"))
                for at in (NOON - 99 * DAY, NOON, NOW)
                for number in range(200)
            ]
        )
        await other.replicas.catch_up()
        for one in (store, other):
            await one.finished_runs(0, 0)
            one._clock.ahead += daily_figures.SETTLED + 1  # type: ignore[attr-defined]

        await asyncio.gather(*(one.prune(TODAY * DAY, 30) for one in (store, other)))

        for number in range(5):
            runs = await other.runs(f"job-{number}", 999)
            assert [run.number for run in runs] == [*range(120, 90, -1)]
        days = (await store.figures(0, TODAY)).days
        assert sum(sum(day.runs) for day in days) == 200


async def test_old_runs_are_deleted_through_a_pooler(pgbouncer: PgBouncer) -> None:
    async with connected(pgbouncer.database) as connection:
        await partitions.create(connection, OLD)
    url = f"{pgbouncer.url}?pooler=transaction"
    async with PostgresStore.open(url, clock=LoneClock()) as store:
        for at in (NOON - 99 * DAY, NOON, NOON, NOW, NOW):
            await update(store, "backup", ran(at))
        await update(store, "backup", logged("words", at=NOON))
        await update(store, "backup", opened(at=NOON))
        await update(store, "backup", resolved(at=NOON))

        assert await store.prune(TODAY * DAY, 1, BIG_BANG) == 4
        assert [run.number for run in await store.runs("backup", 9)] == [5]
        assert await store.logs("backup") == []
        assert len(await store.alerts()) == 1
        (figures,) = (await store.figures(OLD - 99, TODAY)).jobs
        assert sum(figures.runs) == 5
