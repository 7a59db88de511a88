"""A store in PostgreSQL, which several replicas share: all states are in memory."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Final

import asyncpg
import structlog

from afterrun_exporter.clock import Clock, SystemClock
from afterrun_exporter.core.daily_figures import FinishedRun, PeriodFigures, day_of
from afterrun_exporter.core.model import Outcome, Run
from afterrun_exporter.core.pushed_metrics import Group, Labels
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.group_commit import GroupCommit
from afterrun_exporter.storage.outbox import Changes, Outbox
from afterrun_exporter.storage.postgres import (
    alert_history,
    beat,
    daily_figures,
    loading,
    partitions,
    pruning,
    reads,
    receivers,
    run_keys,
    window_history,
)
from afterrun_exporter.storage.postgres import outbox as outbox_rows
from afterrun_exporter.storage.postgres.address import Password, address_of
from afterrun_exporter.storage.postgres.commits import GATHER, Commits, register
from afterrun_exporter.storage.postgres.connections import Connections
from afterrun_exporter.storage.postgres.failures import FAULTS
from afterrun_exporter.storage.postgres.opening import check_pooler, prepare, used
from afterrun_exporter.storage.postgres.pushed_metrics import PushedGroups
from afterrun_exporter.storage.postgres.replica import FRESH, Replica
from afterrun_exporter.storage.postgres.writes import Writer
from afterrun_exporter.storage.rows import Outboxed
from afterrun_exporter.storage.run_keys import MEMORY, OlderKeys
from afterrun_exporter.storage.store import (
    EVERY_ALERT,
    AlertFilter,
    AlertRecord,
    AlertStats,
    Change,
    Ended,
    LogRecord,
    RunFilter,
    RunRecord,
)

#: Seconds from one measurement of the size, or deletion of old changes, to the next.
UPKEEP: Final = 60.0

#: Seconds from one attempt to commit to the next, if there are no reports: all replicas
#: must know soon that none can record anything.
TRY: Final = 2.0

_SIZE: Final = "SELECT pg_database_size(current_database())"
_PROBE: Final = "UPDATE writers SET seen_at = clock_timestamp() WHERE id = $1"

log = structlog.get_logger()


class PostgresStore:
    """Implements `Store`; created by `PostgresStore.open`."""

    def __init__(
        self,
        connections: Connections,
        jobs: loading.Jobs,
        outbox: Outboxed,
        replica: str,
        secret: bytes,
        on_commit: Callable[[float], None],
        key_memory: int,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._states = jobs.states
        self._writer = Writer(replica, jobs.ids, jobs.stamps)
        self.outbox = Outbox(self._write_outbox, *outbox)
        self._writes = Commits(
            connections,
            self._writer,
            self._states,
            self.outbox,
            on_commit,
            self._last_run_known,
        )
        write = self._writes.write
        self._commits = GroupCommit(
            self._states, write, self._older_keys, key_memory, jobs.stamps, GATHER
        )
        self.replicas = Replica(
            secret,
            connections,
            self._writer,
            self._commits,
            self.outbox,
            clock,
            self._writes.probe,
        )
        connections.writer.on_connect = self._begin_writing
        self._size = 0
        self._pushed = PushedGroups()
        #: The first day of which figures are kept; unknown after the start.
        self._first_day: int | None = None
        self._horizon = daily_figures.Horizon(
            lambda: self._writer.number, clock.elapsed
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        on_commit: Callable[[float], None] = lambda _: None,
        key_memory: int = MEMORY,
        *,
        password: Password = lambda: None,
        clock: Clock | None = None,
    ) -> AsyncIterator[PostgresStore]:
        """Open the database at *url*, migrate and load it.

        *on_commit* is called with the duration of each commit in seconds; *key_memory*
        limits the memory for keys of older runs in bytes (run_keys.py); *password*
        returns the password of each connection, None for that of the URL. Raises
        StorageError if the database cannot be used.
        """
        address = address_of(url, password)
        async with AsyncExitStack() as stack:
            connections = Connections(address)
            stack.callback(connections.drop)
            secret = await prepare(connections)
            jobs, outbox = await used(address, connections.poller.run(_load))
            store = cls(
                connections,
                jobs,
                outbox,
                f"{socket.gethostname()}-{secrets.token_hex(4)}",
                secret,
                on_commit,
                key_memory,
                clock or SystemClock(),
            )
            await used(address, store._begin())
            stack.push_async_callback(connections.close)
            stack.push_async_callback(store._leave)
            stack.push_async_callback(store.replicas.stop)
            for loop in (store.replicas.run(), store._keep_up(), store._keep_trying()):
                stack.push_async_callback(_cancel, asyncio.create_task(loop))
            stack.push_async_callback(store.close)
            yield store

    @property
    def states(self) -> Mapping[str, JobState]:
        return self._states

    def latest(self, job: str) -> JobState | None:
        return self._commits.latest(job)

    def update_all(
        self, changes: Sequence[Change]
    ) -> Awaitable[list[Transition | Exception]]:
        return self._commits.update_all(changes)

    async def runs(
        self,
        job: str,
        limit: int,
        before: int | None = None,
        outcomes: Collection[Outcome] = (),
        size: int | None = None,
    ) -> list[Run]:
        return await self._connections.read(
            lambda one: reads.runs(one, job, limit, before, outcomes, size)
        )

    async def recorded_runs(self, query: RunFilter) -> list[RunRecord]:
        return await self._connections.browse(
            lambda one: reads.recorded_runs(one, query)
        )

    async def endings(
        self, jobs: Collection[str], limit: int
    ) -> dict[str, list[Ended]]:
        return await self._connections.browse(
            lambda one: reads.endings(one, jobs, limit)
        )

    async def last_judged(self, jobs: Collection[str]) -> dict[str, Run]:
        return await self._connections.browse(lambda one: reads.last_judged(one, jobs))

    async def histories(
        self, reach: Mapping[str, float], now: float, limit: int
    ) -> dict[str, bytes]:
        return await self._connections.read(
            lambda one: window_history.histories(one, reach, now, limit)
        )

    async def finished_runs(
        self, after: int, since: float
    ) -> tuple[int, list[FinishedRun]]:
        return await self._connections.browse(
            lambda one: daily_figures.finished_runs(one, self._horizon, after, since)
        )

    async def figures(
        self, first: int, last: int, jobs: Collection[str] | None = None
    ) -> PeriodFigures:
        with suppress(StorageError):
            await self._count_runs()
        names = self._names(jobs)
        return await self._connections.browse(
            lambda one: daily_figures.period(one, first, last, names)
        )

    async def alerts(self, query: AlertFilter = EVERY_ALERT) -> list[AlertRecord]:
        return await self._connections.browse(
            lambda one: alert_history.alerts(one, query)
        )

    async def alert_stats(self, since: float, jobs: int) -> AlertStats:
        return await self._connections.browse(
            lambda one: alert_history.stats(one, since, jobs)
        )

    async def receivers(self) -> list[JobReceiver]:
        return await self._connections.read(receivers.receivers)

    async def add_receivers(self, added: Sequence[JobReceiver]) -> list[JobReceiver]:
        return await self._connections.write(lambda one: receivers.add(one, added))

    async def remove_receivers(self, numbers: Collection[int]) -> None:
        await self._connections.write(lambda one: receivers.remove(one, numbers))

    async def pushed(self) -> list[Group]:
        return await self._connections.browse(self._pushed.read)

    async def save_pushed(self, group: Group) -> bool:
        return await self._connections.write(lambda one: self._pushed.save(one, group))

    async def drop_pushed(self, labels: Labels) -> None:
        await self._connections.write(lambda one: self._pushed.drop(one, labels))

    async def logs(self, job: str) -> list[LogRecord]:
        return await self._connections.read(lambda one: reads.logs(one, job))

    async def prune(
        self, before: float, runs_per_job: int, reports_before: float | None = None
    ) -> int:
        await self._count_runs()
        write, ids = self._connections.write, self._writer.ids
        newest = {
            ids[name]: state.recorded
            for name, state in self._states.items()
            if name in ids
        }
        pruned = await pruning.prune_runs(write, newest, before, runs_per_job)
        jobs = await pruning.prune_keys(write, newest, before, runs_per_job)
        names = self._writer.names
        self._commits.keys.forget({names[id_] for id_ in jobs if id_ in names})
        since = before if reports_before is None else reports_before
        await pruning.prune_rest(write, before, since)
        if (first := day_of(since)) != self._first_day:
            await pruning.prune_figures(write, first)
            self._first_day = first
        return pruned

    def writing_for(self) -> float:
        return self._commits.writing_for()

    async def probe(self) -> None:
        number = self._writer.number
        await self._connections.write(lambda one: one.execute(_PROBE, number))
        await self._writes.probe()

    async def check(self) -> None:
        if self.replicas.feed_lag() >= FRESH:
            raise StorageError(self.replicas.outdated())

    def failures(self) -> int:
        return self._connections.failures

    def size(self) -> int:
        return self._size

    async def close(self) -> None:
        await self._commits.drained()

    async def _count_runs(self) -> None:
        """Add the runs since the last call to the figures of their days."""
        write = self._connections.write
        horizon = await write(self._horizon.look)
        while await write(lambda one: daily_figures.add_next_runs(one, horizon)):
            pass

    def _last_run_known(self, job: str) -> int | None:
        return self.replicas.last_run_known(job)

    async def _older_keys(self, jobs: Collection[str]) -> dict[str, OlderKeys]:
        return await self._connections.read(lambda one: run_keys.load(one, jobs))

    async def _write_outbox(self, changes: Changes) -> set[str]:
        # As the changes were computed from the states: now.
        stamps = {one.job: self._commits.stamps.get(one.job, 0) for one in changes.notices}  # fmt: skip
        return await self._connections.write(
            lambda one: outbox_rows.save(one, changes, stamps)
        )

    async def _begin_writing(self, connection: asyncpg.Connection) -> None:
        if not self._connections.address.is_pooled:
            await check_pooler(connection)
        await register(connection, self._writer)

    async def _begin(self) -> None:
        """Give the first sign of life, and read what changed during the loading."""
        await self._connections.writer.run(_nothing)
        await self.replicas.look()
        await self._keep_partitions()
        self._size = await self._connections.upkeep.run(_size)

    async def _leave(self) -> None:
        with suppress(StorageError, *FAULTS):
            await self.replicas.leave()

    async def _keep_up(self) -> None:
        """Call `_upkeep` regularly, until canceled."""
        while True:
            await self._clock.sleep(UPKEEP)
            with suppress(StorageError):
                await self._upkeep()

    async def _keep_trying(self) -> None:
        """Find out whether commits succeed, until canceled."""
        while True:
            await self._clock.sleep(TRY)
            with suppress(StorageError):
                await self._writes.probe()

    async def _upkeep(self) -> None:
        """Measure the size, and as the leader delete old changes. Raises StorageError."""
        self._size = await self._connections.write(_size)
        if self.replicas.is_leader:
            await self._keep_partitions()
            await self._connections.write(beat.prune)

    async def _keep_partitions(self) -> None:
        write, now = self._connections.write, self._clock.now()
        for day in await write(partial(partitions.missing, now=now)):
            await write(partial(partitions.create, day=day))

    def _names(self, jobs: Collection[str] | None) -> dict[int, str]:
        """Return the names of *jobs*, or of all ones, by id."""
        ids = self._writer.ids
        if jobs is None:
            return {id_: name for name, id_ in ids.items()}
        return {ids[name]: name for name in jobs if name in ids}


async def _load(
    connection: asyncpg.Connection,
) -> tuple[loading.Jobs, Outboxed]:
    # Notifications first: those of states that change meanwhile are read again.
    outbox = await outbox_rows.load(connection)
    return await loading.load(connection), outbox


async def _nothing(_: asyncpg.Connection) -> None:
    pass


async def _size(connection: asyncpg.Connection) -> int:
    size: int = await connection.fetchval(_SIZE)
    return size


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
