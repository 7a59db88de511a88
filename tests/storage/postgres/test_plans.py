"""No query reads more rows than it returns, however many there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, cast

import asyncpg
import pytest

from afterrun_exporter.core.daily_figures import DAY, day_of
from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.notifications import AlertNotification
from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.postgres import (
    alert_history,
    daily_figures,
    outbox,
    partitions,
    pruning,
    reads,
    run_keys,
    window_history,
)
from afterrun_exporter.storage.postgres.pushed_metrics import PushedGroups
from afterrun_exporter.storage.store import AlertFilter, RunFilter
from tests.postgres import Database
from tests.storage.decisions import FAILING, T0
from tests.storage.postgres.tables import Writing, add_jobs, add_runs, connected

TODAY: Final = day_of(T0)
DAYS: Final = range(TODAY - 3, TODAY + 1)
JOBS: Final = 20

#: Tables with few rows.
SMALL: Final = {"revisions", "counted", "writers", "unpunctual"}

_ALERTS: Final = """
INSERT INTO alerts (job_id, condition, rule, severity, summary, run, opened_at, resolved_at)
SELECT n % 20 + 1, 'failing', '', 'critical', '', 1, n,
    CASE WHEN n % 100 > 0 THEN n + 1 END
FROM generate_series(1, 5000) AS n
"""


_SETTINGS: Final = """
ANALYZE; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan
"""


class Explaining:
    """A connection that notes the plan of each statement before it executes it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.nodes: list[dict[str, Any]] = []

    async def fetch(self, sql: str, *values: object) -> Any:
        await self._explain(sql, values)
        return await self._connection.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: object) -> Any:
        await self._explain(sql, values)
        return await self._connection.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: object) -> Any:
        await self._explain(sql, values)
        return await self._connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: object) -> Any:
        await self._explain(sql, values)
        return await self._connection.execute(sql, *values)

    def whole_tables(self) -> set[str]:
        """Return the tables that were read as a whole, except small ones."""
        return {
            node["Relation Name"]
            for node in self.nodes
            if node["Node Type"] == "Seq Scan"
        } - SMALL

    def sorted_tables(self) -> set[str]:
        """Return the tables of which rows were sorted."""
        return {
            below["Relation Name"]
            for node in self.nodes
            if node["Node Type"] == "Sort"
            for below in _nodes(node)
            if "Relation Name" in below
        }

    async def _explain(self, sql: str, values: tuple[object, ...]) -> None:
        # For these values, and for any: the server chooses one of both plans.
        generic = f"EXECUTE planned ({', '.join(['NULL'] * len(values))})"
        await self._connection.execute(f"PREPARE planned AS {sql}")
        for one, some in ((sql, values), (generic if values else sql, ())):
            plan = await self._connection.fetchval(
                f"EXPLAIN (FORMAT JSON) {one}", *some
            )
            self.nodes += _nodes(json.loads(plan)[0]["Plan"])
        await self._connection.execute("DEALLOCATE planned")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@pytest.fixture
async def explaining(postgres: Database) -> AsyncIterator[Explaining]:
    """A connection that reads a whole table only if there is no other way."""
    async with connected(postgres) as connection:
        for day in DAYS:
            await partitions.create(connection, day)
        await add_jobs(connection, JOBS)
        for n, day in enumerate([TODAY - 99, *DAYS]):
            runs = {n * 100 + k: day * DAY + k for k in range(100)}
            await add_runs(connection, range(1, JOBS + 1), runs)
        await connection.execute(_ALERTS)
        await connection.execute(_SETTINGS)
        yield Explaining(connection)


NOTICE: Final = AlertNotification(
    labels="{1}", job="job-1", key=FAILING, summary="", opened_at=T0
)
Act = Callable[[asyncpg.Connection], Awaitable[object]]
NAMES: Final = ["job-1", "job-2", "unknown"]
SINCE: Final = (TODAY - 1) * DAY

READS: Final[dict[str, Act]] = {
    "runs": lambda one: reads.runs(one, "job-1", 50, None, (), None),
    "next runs": lambda one: reads.runs(one, "job-1", 50, 320, (), 1000),
    "recorded runs": lambda one: reads.recorded_runs(one, RunFilter(limit=50)),
    "recorded runs since": lambda one: reads.recorded_runs(
        one, RunFilter(limit=50, since=SINCE, before=9000)
    ),
    "endings": lambda one: reads.endings(one, NAMES, 7),
    "last judged runs": lambda one: reads.last_judged(one, NAMES),
    "histories": lambda one: window_history.histories(one, {"job-1": DAY}, T0, 50),
    "logs": lambda one: reads.logs(one, "job-1"),
    "keys": lambda one: run_keys.load(one, NAMES),
    "figures": lambda one: daily_figures.period(one, 0, TODAY, {1: "job-1"}),
    "finished runs": lambda one: daily_figures.finished_runs(
        one, daily_figures.Horizon(lambda: 0, lambda: 0.0), 0, SINCE
    ),
    "counting": lambda one: daily_figures.add_next_runs(one, 9000),
    "alerts": lambda one: alert_history.alerts(one, AlertFilter(limit=10)),
    "notifications": lambda one: outbox.save(
        one, Changes(notices=(NOTICE,), deliveries={"{}": {}}, removed=(NOTICE,)), {}
    ),
    "notifications of jobs": lambda one: outbox.of_jobs(one, NAMES),
    "pushed metrics": lambda one: PushedGroups().drop(one, (("job", "etl"),)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
async def test_no_query_reads_a_whole_table(explaining: Explaining, read: Act) -> None:
    await read(cast("asyncpg.Connection", explaining))

    assert explaining.nodes
    assert explaining.whole_tables() == set()


@pytest.mark.parametrize(
    "read", [READS["runs"], READS["next runs"], READS["recorded runs"]]
)
async def test_runs_are_in_the_order_of_an_index(
    explaining: Explaining, read: Act
) -> None:
    await read(cast("asyncpg.Connection", explaining))

    assert explaining.sorted_tables() == set()


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (AlertFilter(limit=10), "alerts_opened"),
        (AlertFilter(since=T0, limit=10), "alerts_opened"),
        (AlertFilter(open=False, limit=10), "alerts_opened"),
        (AlertFilter(job="job-1", limit=10), "alerts_of_job"),
        (AlertFilter(open=True, limit=10), "alerts_open alerts_resolved"),
        (AlertFilter(before=7, limit=10), "alerts_opened"),
        (AlertFilter(conditions=(Condition.SLOW,), window=50), "alerts_opened"),
    ],
)
async def test_alerts_are_found_by_an_index(
    explaining: Explaining, query: AlertFilter, indexes: str
) -> None:
    """There may be a million alerts, of which a hundred are open."""
    await alert_history.alerts(cast("asyncpg.Connection", explaining), query)

    used = {node.get("Index Name") for node in explaining.nodes}
    assert used.intersection(indexes.split())
    assert explaining.whole_tables() == set()


async def test_a_dropped_partition_leaves_the_others_unread(
    explaining: Explaining, postgres: Database
) -> None:
    newest = dict.fromkeys(range(1, JOBS + 1), 499)
    await explaining._connection.execute("UPDATE counted SET run = 1000000")

    write = Writing(cast("asyncpg.Connection", Unplanned(explaining)))
    pruned = await pruning.prune_runs(write, newest, (TODAY - 2) * DAY, 10_000)

    assert pruned == 2 * 100 * JOBS
    assert explaining.whole_tables() <= {partitions.name_of(TODAY - 3)}
    if int(postgres.psql("SHOW server_version_num")) < 150_000:
        # Its counters are late, and cannot be flushed.
        return
    await explaining._connection.execute("SELECT pg_stat_force_next_flush()")
    assert (
        postgres.psql(
            "SELECT count(*) FROM pg_stat_user_tables "
            "WHERE relname LIKE 'runs_2%' AND seq_tup_read > 0"
        )
        == "0"
    )


class Unplanned:
    """Executes statements without values without a look at their plan."""

    def __init__(self, explaining: Explaining) -> None:
        self.fetch, self._explaining = explaining.fetch, explaining

    async def execute(self, sql: str, *values: object) -> Any:
        if values:
            return await self._explaining.execute(sql, *values)
        return await self._explaining._connection.execute(sql)
