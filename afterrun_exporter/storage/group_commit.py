"""Group commit: updates that wait while the disk syncs share the next commit.

A commit of any size costs as much as deciding about ten pings. So updates that
arrive during the decisions join it, until no more arrive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from afterrun_exporter.clock import LoopTurn, stopwatch
from afterrun_exporter.core.duplicates import (
    OlderRunsNeededError,
    is_partial,
    with_older_keys,
    without_unnamed,
)
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.unchanged_jobs import same_facts
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.run_keys import MEMORY, KeysInMemory, OlderKeys
from afterrun_exporter.storage.store import Change, Decide

#: Maximum of requests that share one commit, so that none waits long for others.
MAX_SHARED: Final = 512

#: Maximum of jobs whose older keys are loaded at once.
MAX_RECALLED: Final = 250

#: Transitions to write in one transaction, in the order of their decisions.
Writes = Sequence[tuple[str, Transition]]
Write = Callable[[Writes], Awaitable[None]]

#: Loads the keys of the older runs of jobs. Raises StorageError.
Load = Callable[[Collection[str]], Awaitable[Mapping[str, OlderKeys]]]


async def _nothing(_: Collection[str]) -> Mapping[str, OlderKeys]:
    return {}


@dataclass(slots=True)
class _Waiting:
    changes: Sequence[Change]
    answer: asyncio.Future[list[Transition | Exception]]
    results: list[Transition | Exception] = field(default_factory=list)


class GroupCommit:
    """Decides updates one after another, and commits those that wait together.

    Decisions are made on the event loop, based on committed states, and only writing
    happens elsewhere: no lock, no lost update, and no answer before its commit.
    """

    def __init__(
        self,
        states: dict[str, JobState],
        write: Write,
        load: Load = _nothing,
        memory: int = MEMORY,
    ) -> None:
        self._states = states
        self._write = write
        self._load = load
        #: Bounds the memory of the keys from *load* to *memory* bytes.
        self.keys = KeysInMemory(states, memory)
        #: States decided since the last commit.
        self._staged: dict[str, JobState] = {}
        self._waiting: deque[_Waiting] = deque()
        self._drain: asyncio.Task[None] | None = None
        #: The start of the transaction that is being written, by `stopwatch`.
        self._writing_since: float | None = None

    def update_all(
        self, changes: Sequence[Change]
    ) -> asyncio.Future[list[Transition | Exception]]:
        """See `Store.update_all`.

        A client that disconnects cancels its answer, not what is written.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(changes, loop.create_future())
        self._waiting.append(waiting)
        if self._drain is None:
            self._drain = loop.create_task(self._commit_waiting(), name="commit")
        return waiting.answer

    def latest(self, job: str) -> JobState | None:
        """See `Store.latest`."""
        return self._staged.get(job) or self._states.get(job)

    def writing_for(self) -> float:
        """See `Store.writing_for`."""
        since = self._writing_since
        return 0.0 if since is None else stopwatch() - since

    async def drained(self) -> None:
        """Wait until no update is waiting."""
        while self._drain is not None:
            await self._drain

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                await self._commit_next()
        finally:
            self._drain = None

    async def _commit_next(self) -> None:
        batch: list[_Waiting] = []
        try:
            writes = await self._decide_batch(batch)
        except StorageError as error:
            _refuse(batch, error)
        else:
            await self._commit(batch, writes)

    async def _decide_batch(self, batch: list[_Waiting]) -> Writes:
        """Decide waiting updates, and those that arrive meanwhile; return the writes.

        Adds the updates to *batch*. Raises StorageError.
        """
        self._staged = {}
        writes: list[tuple[str, Transition]] = []
        turn = LoopTurn()
        while self._waiting and len(batch) < MAX_SHARED:
            batch.append(one := self._waiting.popleft())
            writes += await self._decide(one, turn)
            if turn.is_over or not self._waiting:
                # Clients answered by the previous commit may report again at once.
                await turn.end()
        return writes

    async def _commit(self, batch: Sequence[_Waiting], writes: Writes) -> None:
        self._writing_since = stopwatch()
        try:
            await self._write(writes)
        except StorageError as error:
            _refuse(batch, error)
        except Exception as error:  # noqa: BLE001 - set on the update that caused it
            if len(batch) > 1:
                # One update cannot be written: commit each alone, to find out which.
                for one in batch:
                    await self._commit_alone(one)
                return
            _refuse(batch, error)
        else:
            self._states.update(self._staged)
            self.keys.note(self._staged)
            self.keys.make_room()
            for update in batch:
                if not update.answer.done():
                    update.answer.set_result(update.results)
        finally:
            self._writing_since = None

    async def _commit_alone(self, one: _Waiting) -> None:
        self._staged = {}
        try:
            writes = await self._decide(one, LoopTurn())
        except StorageError as error:
            _refuse([one], error)
        else:
            await self._commit([one], writes)

    async def _decide(self, one: _Waiting, turn: LoopTurn) -> Writes:
        """Make all decisions of *one*; return those to write."""
        writes: list[tuple[str, Transition]] = []
        # This may be a repetition: see `_commit`.
        one.results = []
        #: For each job: the index of its last result and of its last write.
        latest: dict[str, tuple[int, int]] = {}
        for count, (job, decide) in enumerate(one.changes):
            if count and turn.is_over:
                # No other decision is made meanwhile: they wait for their turn.
                await turn.end()
            result = self._call(job, decide)
            if isinstance(result, OlderRunsNeededError):
                await self._recall(job)
                result = self._call(job, decide)
            one.results.append(result)
            if isinstance(result, Exception):
                continue
            if job in latest:
                # Keep only the last of thousands of states with up to 240 KB each.
                _forget_unnamed(one.results, writes, *latest[job])
            transition, before = result, self.latest(job)
            if transition.state is not before:
                self._staged[job] = transition.state
            if _has_news(transition, before):
                writes.append((job, transition))
            latest[job] = count, len(writes) - 1
        return writes

    def _call(self, job: str, decide: Decide) -> Transition | Exception:
        try:
            return decide(self.latest(job))
        except Exception as error:  # noqa: BLE001 - it is the result
            return error

    async def _recall(self, job: str) -> None:
        """Add the keys of older runs to the state of *job*.

        Also to those of waiting jobs, which may need them, too. Raises StorageError.
        """
        waiting = {change.job for one in self._waiting for change in one.changes}
        others = (name for name in waiting - {job} if self._is_partial(name))
        jobs = [job, *islice(others, MAX_RECALLED)]
        keys = await self._load(jobs)
        for name in jobs:
            older = keys.get(name, OlderKeys())
            for states in (self._states, self._staged):
                if state := states.get(name):
                    states[name] = with_older_keys(state, *older)
        self.keys.note({name: self._states[name] for name in keys})

    def _is_partial(self, job: str) -> bool:
        state = self.latest(job)
        return state is not None and is_partial(state)


def _forget_unnamed(
    results: list[Transition | Exception],
    writes: list[tuple[str, Transition]],
    index: int,
    write_index: int,
) -> None:
    """Remove the unnamed pings from the state of a result that a later one replaces."""
    before = results[index]
    if isinstance(before, Exception) or not before.state.unnamed_seen:
        return
    slim = without_unnamed(before)
    results[index] = slim
    if write_index >= 0 and writes[write_index][1] is before:
        writes[write_index] = (writes[write_index][0], slim)


def _has_news(transition: Transition, before: JobState | None) -> bool:
    if transition.runs or transition.alerts or transition.logs or before is None:
        return True
    return transition.state is not before and not same_facts(transition.state, before)


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
            # The client may have gone: mark the error as retrieved.
            one.answer.exception()
