"""Commits of a batch of decided changes: which were committed, and which came too late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import asyncpg

from afterrun_exporter.clock import stopwatch
from afterrun_exporter.core.notifications import AlertNotification
from afterrun_exporter.core.state import JobState
from afterrun_exporter.errors import (
    UNCERTAIN,
    StorageError,
    UnreachableStorageError,
)
from afterrun_exporter.storage.group_commit import NONE_LOST, Committed, Lost, Writes
from afterrun_exporter.storage.outbox import Outbox
from afterrun_exporter.storage.postgres import beat, loading
from afterrun_exporter.storage.postgres import outbox as outbox_rows
from afterrun_exporter.storage.postgres.connections import SHORT, Connections
from afterrun_exporter.storage.postgres.failures import CALLERS, FAULTS, REPEATABLE
from afterrun_exporter.storage.postgres.writes import Writer

#: The most seconds for a statement: it is ended by the server soon after.
LONGEST: Final = 9.0

#: Seconds for which a commit waits for clients; without that two replicas on two cores
#: take a fifth fewer reports.
GATHER: Final = 0.005


class _Result(NamedTuple):
    stamp: int
    losers: dict[str, Committed]
    #: Notifications of the losers.
    notices: list[AlertNotification]


class Commits:
    """Writes for `GroupCommit`, which has *states*."""

    def __init__(
        self,
        connections: Connections,
        writer: Writer,
        states: Mapping[str, JobState],
        outbox: Outbox,
        on_commit: Callable[[float], None],
        last_run_known: Callable[[str], int | None],
    ) -> None:
        self._connections = connections
        self._writer = writer
        self._states = states
        self._outbox = outbox
        self._on_commit = on_commit
        self._last_run_known = last_run_known

    async def write(self, writes: Writes) -> Lost:
        """Write all transitions, except those of the jobs that it returns.

        After an error nothing is known to be recorded. What was recorded all the same is
        read with the changes of other writers, because the next connection has a number
        of its own.
        """
        if not writes:
            return NONE_LOST
        began = stopwatch()
        async with self._outbox.recording(writes) as recording:
            result = await self._commit(writes, recording.changes.notices)
            recording.losers = result.losers.keys()
        names = {name for name, _ in writes}
        self._writer.committed(result.stamp, names - result.losers.keys())
        if result.losers:
            self._outbox.replace(result.losers.keys(), result.notices)
        self._on_commit(stopwatch() - began)
        return result.losers

    async def probe(self) -> None:
        """Commit nothing, as far as that can be: it waits for the same tables.

        Raises StorageError, also if a commit is in progress, which shows the same.
        """
        if self._connections.writer.is_busy:
            raise StorageError("a commit is in progress")
        await self._commit((), ())

    async def _commit(
        self, writes: Writes, notices: Iterable[AlertNotification]
    ) -> _Result:
        link, began = self._connections.writer, stopwatch()
        try:
            try:
                result = await self._try(writes, notices)
            except REPEATABLE:
                result = await self._try(writes, notices)
        except CALLERS:
            # The values to write are wrong, not the database.
            raise
        except (*FAULTS, StorageError) as error:
            link.drop()
            if isinstance(error, UnreachableStorageError):
                # Nothing was sent.
                raise
            name, reason = self._connections.address.name, link.reason(error)
            self._writer.failed(began, reason)
            raise StorageError(
                f"cannot write to {name}: {reason}; {UNCERTAIN}"
            ) from None
        except BaseException:
            link.drop()
            raise
        self._writer.failing_since = None
        return result

    async def _try(
        self, writes: Writes, notices: Iterable[AlertNotification]
    ) -> _Result:
        link = self._connections.writer
        names = {name for name, _ in writes}
        if not names <= self._writer.ids.keys():
            await link.run(lambda one: self._writer.name(one, names))
        return await link.run(lambda one: self._write(one, writes, notices))

    async def _write(
        self,
        connection: asyncpg.Connection,
        writes: Writes,
        notices: Iterable[AlertNotification],
    ) -> _Result:
        writer = self._writer
        batch = writer.batch(writes, notices, self._states)
        if writer.is_exhausted:
            await register(connection, writer)
        limit = min(LONGEST, SHORT + batch.seconds)
        stamp = writer.next_stamp()
        committed_ids = await writer.commit(connection, stamp, batch, limit)
        if committed_ids is None:
            await register(connection, writer)
            stamp = writer.next_stamp()
            committed_ids = await writer.commit(connection, stamp, batch, limit)
        if committed_ids is None:
            raise StorageError("another process removes writers")
        losers = {
            name: id_
            for name, _ in writes
            if (id_ := writer.ids[name]) not in committed_ids
        }
        if not losers:
            return _Result(stamp, {}, [])
        _, rows = await loading.changed(
            connection, losers.values(), {}, self._last_run_known
        )
        for name in losers.keys() - rows.keys():
            # The row was deleted by hand.
            del writer.ids[name]
            rows[name] = Committed(None, 0)
        return _Result(stamp, rows, await outbox_rows.of_jobs(connection, [*losers]))


async def register(connection: asyncpg.Connection, writer: Writer) -> None:
    """Give *writer* a new number."""
    known_number = writer.greatest_number()
    number = await beat.register(
        connection, writer.replica, writer.config, known_number
    )
    writer.begin(number)
