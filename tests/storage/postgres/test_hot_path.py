"""The statement of each commit: what it costs does not grow with the database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import pytest

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres.failures import FAULTS
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.postgres.writes import FULL, PLAIN
from afterrun_exporter.storage.store import Change, update
from tests.e2e.network import wait_for
from tests.postgres import Database, PgBouncer
from tests.storage.decisions import ran
from tests.storage.postgres.stores import LoneClock, replicas

T = TypeVar("T")

#: The share of updates of jobs that touch no index.
HOT = """
SELECT n_tup_upd, n_tup_hot_upd > 0.95 * n_tup_upd FROM pg_stat_user_tables
WHERE relname = 'jobs'
"""


@pytest.mark.parametrize("sql", [PLAIN, FULL], ids=["plain", "full"])
async def test_no_table_is_read_as_a_whole(postgres: Database, sql: str) -> None:
    """Also while the server does not know yet that there are many jobs."""
    count = max(int(number) for number in re.findall(r"\$(\d+)", sql))
    async with replicas(postgres, 1) as (store,):
        rows = await store._connections.writer.run(
            lambda one: one.fetch(f"EXPLAIN {sql}", 1, *([()] * (count - 1)))
        )

    plan = "\n".join(line for (line,) in rows)
    assert "Index Scan using jobs_pkey on jobs" in plan
    assert "Seq Scan" not in plan


async def test_updates_of_jobs_touch_no_index(postgres: Database) -> None:
    updates = 0
    async with replicas(postgres, 1) as (store,):
        for _ in range(30):
            await store.update_all([Change(f"job-{n}", ran()) for n in range(40)])
            updates += 40

    def is_hot() -> bool:
        count, is_hot = postgres.psql(HOT).split("|")
        return int(count) >= updates and is_hot == "t"

    # The server counts when a connection ends.
    wait_for(is_hot)


@pytest.mark.parametrize("is_pooled", [False, True])
async def test_a_server_that_stands_still_hangs_no_caller(
    postgres: Database,
    pgbouncer: PgBouncer,
    patient_limits: pytest.MonkeyPatch,
    is_pooled: bool,
) -> None:
    """A report is refused, so that it is sent again; afterwards all goes on."""
    patient_limits.undo()
    url = f"{pgbouncer.url}?pooler=transaction" if is_pooled else postgres.url
    reports = 0
    async with AsyncExitStack() as stack:

        async def open_store() -> PostgresStore:
            opening = PostgresStore.open(url, clock=LoneClock())
            return await stack.enter_async_context(opening)

        async def report() -> None:
            nonlocal reports
            reports += 1
            await update(store, "backup", ran())

        store = await until_it_succeeds(open_store)
        await until_it_succeeds(report)
        postgres.server.freeze()

        results = await asyncio.gather(
            report(),
            store.runs("backup", 1),
            store.replicas.catch_up(),
            store.probe(),
            return_exceptions=True,
        )

        postgres.server.thaw()
        for result in (results[0], results[1], results[3]):
            assert isinstance(result, StorageError)
        assert results[2] is None
        assert store.replicas.outdated()
        await until_it_succeeds(report)
        # On a busy machine it may be out of date again by now.
        while store.replicas.outdated():
            await until_it_succeeds(store.replicas.look)
        runs = await until_it_succeeds(lambda: store.runs("backup", 1))
        # What was refused may have been recorded.
        assert 2 <= runs[0].number <= reports


async def until_it_succeeds(act: Callable[[], Awaitable[T]]) -> T:
    """Repeat *act*: the pooler notices only later that the server answers again."""
    while True:
        try:
            return await act()
        except (StorageError, *FAULTS):
            await yield_to_loop()
