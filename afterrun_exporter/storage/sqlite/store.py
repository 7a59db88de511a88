"""A store in one SQLite file: one writer thread, WAL, fsync."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import aiosqlite

from afterrun_exporter.core.daily_figures import FinishedRun, PeriodFigures, day_of
from afterrun_exporter.core.model import Outcome, Run
from afterrun_exporter.core.pushed_metrics import Group, Labels
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.daily_rows import STEP
from afterrun_exporter.storage.group_commit import NONE_LOST, GroupCommit, Lost, Writes
from afterrun_exporter.storage.outbox import Changes, Outbox
from afterrun_exporter.storage.replicas import SoleReplica
from afterrun_exporter.storage.rows import Outboxed
from afterrun_exporter.storage.run_keys import MEMORY, OlderKeys
from afterrun_exporter.storage.sqlite import alert_history as history
from afterrun_exporter.storage.sqlite import (
    daily_figures,
    pushed_metrics,
    reads,
    receivers,
    run_keys,
    window_history,
)
from afterrun_exporter.storage.sqlite.checkpoints import Checkpoints
from afterrun_exporter.storage.sqlite.files import (
    DatabaseFiles,
    watched,
)
from afterrun_exporter.storage.sqlite.locking import locked
from afterrun_exporter.storage.sqlite.opening import open_for_reading, open_for_writing
from afterrun_exporter.storage.sqlite.outbox import save as save_outbox
from afterrun_exporter.storage.sqlite.read_guard import (
    CALLERS,
    FAULTS,
    ReadGuard,
    reason,
)
from afterrun_exporter.storage.sqlite.writes import Writer
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

T = TypeVar("T")
V = TypeVar("V")


class SQLiteStore:
    """Implements `Store`; created by `SQLiteStore.open`."""

    def __init__(
        self,
        path: Path,
        files: DatabaseFiles,
        writer: Writer,
        states: dict[str, JobState],
        thread: ThreadPoolExecutor,
        readers: tuple[aiosqlite.Connection, aiosqlite.Connection],
        checkpoints: Checkpoints,
        on_commit: Callable[[float], None],
        outbox: Outboxed,
        key_memory: int,
    ) -> None:
        self._path = path
        self._files = files
        self._writer = writer
        self._states = states
        self._thread = thread
        # A person's query of a long history may take seconds; a ping that needs an
        # earlier run must not wait for it.
        self._reader, self._browser = readers
        self._reading = ReadGuard(path)
        self._on_commit = on_commit
        self._commits = GroupCommit(states, self._write, self._older_keys, key_memory)
        self._checkpoints = checkpoints
        #: The first day of which figures are kept; unknown after the start.
        self._first_day: int | None = None
        self.outbox = Outbox(self._write_outbox, *outbox)
        self.replicas = SoleReplica()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        on_commit: Callable[[float], None] = lambda _: None,
        key_memory: int = MEMORY,
    ) -> AsyncIterator[SQLiteStore]:
        """Open or create the database at *path*, migrate and load it.

        *on_commit* is called with the duration of each commit in seconds; *key_memory*
        limits the memory for keys of older runs in bytes (run_keys.py). Raises
        StorageError if the file cannot be used, also because another daemon uses it.
        """
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            stack.enter_context(locked(path))
            # Left after the connections are closed.
            closing_files = stack.enter_context(ExitStack())
            thread = stack.enter_context(
                ThreadPoolExecutor(1, thread_name_prefix="afterrun-writer")
            )
            connection, states, writer, outbox = await loop.run_in_executor(
                thread, open_for_writing, path
            )
            files = closing_files.enter_context(watched(path))
            checkpoints = Checkpoints(
                path, lambda: loop.run_in_executor(thread, writer.checkpoint)
            )
            stack.push_async_callback(asyncio.to_thread, checkpoints.close)
            stack.push_async_callback(loop.run_in_executor, thread, connection.close)
            both = (
                await open_for_reading(path, stack),
                await open_for_reading(path, stack),
            )
            store = cls(
                path,
                files,
                writer,
                states,
                thread,
                both,
                checkpoints,
                on_commit,
                outbox,
                key_memory,
            )
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
        rows = reads.runs(self._reader, job, limit, before, outcomes, size)
        return await self._reading(rows)

    async def recorded_runs(self, query: RunFilter) -> list[RunRecord]:
        return await self._reading(reads.recorded_runs(self._browser, query))

    async def endings(
        self, jobs: Collection[str], limit: int
    ) -> dict[str, list[Ended]]:
        return await self._reading(reads.endings(self._browser, jobs, limit))

    async def last_judged(self, jobs: Collection[str]) -> dict[str, Run]:
        return await self._reading(reads.last_judged(self._browser, jobs))

    async def histories(
        self, reach: Mapping[str, float], now: float, limit: int
    ) -> dict[str, bytes]:
        return await self._reading(
            window_history.histories(self._reader, reach, now, limit)
        )

    async def finished_runs(
        self, after: int, since: float
    ) -> tuple[int, list[FinishedRun]]:
        rows = daily_figures.finished_runs(self._browser, after, since)
        return await self._reading(rows)

    async def figures(
        self, first: int, last: int, jobs: Collection[str] | None = None
    ) -> PeriodFigures:
        with suppress(StorageError):
            await self._count_runs()
        names = self._writer.names(jobs)
        period = daily_figures.period(self._browser, first, last, names)
        return await self._reading(period)

    async def alerts(self, query: AlertFilter = EVERY_ALERT) -> list[AlertRecord]:
        return await self._reading(history.alerts(self._browser, query))

    async def alert_stats(self, since: float, jobs: int) -> AlertStats:
        return await self._reading(history.stats(self._browser, since, jobs))

    async def receivers(self) -> list[JobReceiver]:
        return await self._reading(receivers.receivers(self._reader))

    async def add_receivers(self, added: Sequence[JobReceiver]) -> list[JobReceiver]:
        return await self._alone(receivers.add, added)

    async def remove_receivers(self, numbers: Collection[int]) -> None:
        await self._alone(receivers.remove, numbers)

    async def pushed(self) -> list[Group]:
        return await self._reading(pushed_metrics.groups(self._browser))

    async def save_pushed(self, group: Group) -> bool:
        await self._alone(pushed_metrics.save, group)
        return True

    async def drop_pushed(self, labels: Labels) -> None:
        await self._alone(pushed_metrics.drop, labels)

    async def logs(self, job: str) -> list[LogRecord]:
        return await self._reading(reads.logs(self._reader, job))

    async def prune(
        self, before: float, runs_per_job: int, reports_before: float | None = None
    ) -> int:
        await self._count_runs()
        newest = {name: state.recorded for name, state in self._states.items()}
        cursor: int | None = 0
        pruned = 0
        while cursor is not None:
            step = self._writer.prune_runs
            cursor, count = await self._on_thread(
                step, cursor, newest, before, runs_per_job
            )
            pruned += count
        place: run_keys.Place | None = (0, 0)
        while place is not None:
            keys = self._writer.prune_keys
            place, jobs = await self._on_thread(
                keys, place, newest, before, runs_per_job
            )
            self._commits.keys.forget(jobs)
        since = before if reports_before is None else reports_before
        while await self._on_thread(self._writer.prune_rest, before, since):
            pass
        await self._prune_figures(day_of(since))
        return pruned

    async def _count_runs(self) -> None:
        """Add the runs since the last call to the figures of their days."""
        act, step = self._writer.do_at_once, STEP
        while await self._on_thread(act, daily_figures.add_next_runs, step):
            pass

    async def _prune_figures(self, first: int) -> None:
        """Delete the figures of days before *first*, at most once a day."""
        act = self._writer.do_at_once
        position = daily_figures.start(first) if first != self._first_day else None
        while position is not None:
            position = await self._on_thread(act, daily_figures.prune, position)
        self._first_day = first

    def writing_for(self) -> float:
        return self._commits.writing_for()

    async def probe(self) -> None:
        await self._on_thread(self._writer.probe)

    async def check(self) -> None:
        await asyncio.to_thread(self._files.inspect)

    def failures(self) -> int:
        return self._reading.failures

    def size(self) -> int:
        files = (self._path, Path(f"{self._path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    async def close(self) -> None:
        await self._commits.drained()
        await self._checkpoints.stop()

    async def _write(self, writes: Writes) -> Lost:
        if writes:
            async with self.outbox.recording(writes) as recording:
                commit, news = self._writer.commit, recording.changes
                self._on_commit(await self._on_thread(commit, writes, news))
        return NONE_LOST

    async def _alone(self, act: Callable[[sqlite3.Connection, V], T], argument: V) -> T:
        """Run *act* in a transaction without reports, and count its failure."""
        try:
            return await self._on_thread(self._writer.do_at_once, act, argument)
        except StorageError:
            self._reading.failures += 1
            raise

    async def _older_keys(self, jobs: Collection[str]) -> dict[str, OlderKeys]:
        loop, load = asyncio.get_running_loop(), run_keys.load
        return await self._reading(
            loop.run_in_executor(
                self._thread, self._checked, self._writer.do, load, jobs
            )
        )

    async def _write_outbox(self, changes: Changes) -> None:
        await self._on_thread(self._writer.do_at_once, save_outbox, changes)

    async def _on_thread(self, function: Callable[..., T], *args: object) -> T:
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(
                self._thread, self._checked, function, *args
            )
        except CALLERS:
            # The values to write are wrong, not the database.
            raise
        except FAULTS as error:
            problem = f"cannot write to {self._path}: {reason(error)}"
            raise StorageError(problem) from error
        self._checkpoints.changed(self._writer.rows_changed)
        return result

    def _checked(self, function: Callable[..., T], *args: object) -> T:
        # Commits to a deleted file are lost.
        self._files.check()
        return function(*args)
