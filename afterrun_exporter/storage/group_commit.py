"""Group commit: updates that wait while the disk syncs share the next commit.

A commit of any size costs as much as deciding about ten pings. So updates that
arrive during the decisions join it, until no more arrive. A commit to a server may also
wait for the clients that are likely to report again soon: see `Gathering`.

Replicas that share a database write a state only in place of the one it was decided
on: they compare its stamp, the number of the commit that wrote it. For a job that
another replica changed first, the write returns the present state, and the changes
are decided again on it. No lock is held meanwhile: a replica that stands still stops no
other, and of several that compare at once one always wins.

What a poll read is put into memory in this order: note the stamps in memory, send the
query, and when its result is there, in one step without waiting: `newer`,
`Outbox.replace`, `adopt`. So the newest state wins: a state in memory is at least as new
as the database was when it got there, so a row that was read later is newer, unless
memory has changed since the query was sent, or a commit is in flight. Both are left
out, and read again by the next poll. A commit in flight finds out by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

from afterrun_exporter.clock import LoopTurn, jittered_sleep, stopwatch
from afterrun_exporter.core.duplicates import (
    OlderRunsNeededError,
    is_partial,
    with_keys_of,
    with_older_keys,
    without_unnamed,
)
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.unchanged_jobs import same_facts
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.replicas import ChangedJobs
from afterrun_exporter.storage.run_keys import MEMORY, KeysInMemory, OlderKeys
from afterrun_exporter.storage.store import Change, Decide
from afterrun_exporter.storage.waiting_updates import (
    Gathering,
    WaitingUpdate,
    refuse,
)

#: Maximum of requests that share one commit, so that none waits long for others.
MAX_SHARED: Final = 512

#: Maximum of jobs whose older keys are loaded at once.
MAX_RECALLED: Final = 250

#: Changes that another replica preceded so often are decided again after a pause.
ROUNDS: Final = 5

#: The first of these pauses in seconds; each of the next few is twice as long.
FIRST_PAUSE: Final = 0.02
DOUBLINGS: Final = 5


class Committed(NamedTuple):
    """A job as another replica committed it."""

    #: As it was decoded; None if the database does not know the job any more.
    state: JobState | None
    stamp: int
    #: Runs that its history in memory lacks; see `Follower.completed`.
    runs: bytes = b""


#: Transitions to write in one transaction, in the order of their decisions.
Writes = Sequence[tuple[str, Transition]]

#: Jobs that another replica changed since the decision, so that they were not written.
Lost = Mapping[str, Committed]
NONE_LOST: Final[Lost] = MappingProxyType({})

#: Writes all transitions, but for those of the jobs that it returns.
Write = Callable[[Writes], Awaitable[Lost]]

#: Completes a state of another replica; see `Follower.completed`.
Complete = Callable[[str, JobState, bytes], JobState]

#: Loads the keys of the older runs of jobs. Raises StorageError.
Load = Callable[[Collection[str]], Awaitable[Mapping[str, OlderKeys]]]


async def _nothing(_: Collection[str]) -> Mapping[str, OlderKeys]:
    return {}


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
        stamps: dict[str, int] | None = None,
        patience: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = jittered_sleep,
    ) -> None:
        self._states = states
        #: The stamp of each state, if replicas share the database. *write* sets those
        #: of the jobs that it wrote.
        self.stamps: dict[str, int] = {} if stamps is None else stamps
        self._write = write
        self._load = load
        self._sleep = sleep
        #: Bounds the memory of the keys from *load* to *memory* bytes.
        self.keys = KeysInMemory(states, memory)
        #: States decided since the last commit, and transitions to write with the next.
        self._staged: dict[str, JobState] = {}
        self._writes: list[tuple[str, Transition]] = []
        #: Jobs of which older keys are being loaded.
        self._recalled: Collection[str] = ()
        self._waiting: deque[WaitingUpdate] = deque()
        self._gathering = Gathering(patience, MAX_SHARED)
        #: The number of updates to commit one by one.
        self._alone = 0
        self._drain: asyncio.Task[None] | None = None
        #: Pauses before changes are decided again.
        self._pauses: set[asyncio.Task[None]] = set()
        #: The start of the transaction that is being written, by `stopwatch`.
        self._writing_since: float | None = None
        #: The number of changes decided again, because another replica came first.
        self.conflicts = 0
        self._complete: Complete = lambda _job, state, _runs: state
        self._on_adopted: Callable[[ChangedJobs], None] = lambda _: None

    def follow(
        self,
        complete: Complete,
        on_adopted: Callable[[ChangedJobs], None],
    ) -> None:
        """Call *complete* for each state of another replica before it enters memory.

        *on_adopted* is called afterwards.
        """
        self._complete = complete
        self._on_adopted = on_adopted

    def update_all(
        self, changes: Sequence[Change]
    ) -> asyncio.Future[list[Transition | Exception]]:
        """See `Store.update_all`.

        A client that disconnects cancels its answer, not what is written.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Transition | Exception]] = loop.create_future()
        self._waiting.append(WaitingUpdate(changes, answer))
        self._gathering.note(len(self._waiting))
        self._start()
        return answer

    def newer(self, rows: Lost, stamps: Mapping[str, int]) -> dict[str, Committed]:
        """Return those of *rows*, read by a poll, that are newer than in memory.

        *stamps* are those that memory had when the query was sent. See the docstring of
        the module; the others must be read again if their stamps differ.
        """
        in_flight = {*self._staged, *self._recalled, *(job for job, _ in self._writes)}
        return {
            job: one
            for job, one in rows.items()
            if self.stamps.get(job, 0) == stamps.get(job, 0) != one.stamp
            and job not in in_flight
        }

    def adopt(self, rows: Lost) -> None:
        """Replace the states of jobs in memory by those that another replica committed."""
        if not rows:
            return
        before = {job: self._states.get(job) for job in rows}
        states: dict[str, JobState] = {}
        for job, (state, stamp, runs) in rows.items():
            self.stamps[job] = stamp
            if state is None:
                self._states.pop(job, None)
            else:
                with_keys = with_keys_of(state, before[job])
                states[job] = self._complete(job, with_keys, runs)
        self._states.update(states)
        self.keys.replace(rows, states)
        self.keys.make_room()
        self._on_adopted(before)

    def latest(self, job: str) -> JobState | None:
        """See `Store.latest`."""
        return self._staged.get(job) or self._states.get(job)

    def writing_for(self) -> float:
        """See `Store.writing_for`."""
        since = self._writing_since
        return 0.0 if since is None else stopwatch() - since

    async def drained(self) -> None:
        """Wait until no update is waiting."""
        while self._drain is not None or self._pauses:
            await (self._drain or asyncio.wait(self._pauses))

    def _start(self) -> None:
        if self._drain is None:
            self._drain = asyncio.create_task(self._commit_waiting(), name="commit")

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                if not self._alone:
                    await self._gathering.wait(len(self._waiting))
                await self._commit_next()
        finally:
            self._drain = None

    async def _commit_next(self) -> None:
        batch: list[WaitingUpdate] = []
        try:
            await self._decide_batch(batch)
            losers = await self._write_batch()
        except StorageError as error:
            refuse(batch, error)
        except Exception as error:  # noqa: BLE001 - set on the update that caused it
            if len(batch) > 1:
                # One update cannot be written: commit each alone, to find out which.
                self._alone = len(batch)
                self._waiting.extendleft(reversed(batch))
            else:
                refuse(batch, error)
        else:
            self._publish(batch, losers)
        finally:
            self._staged, self._writes = {}, []

    async def _decide_batch(self, batch: list[WaitingUpdate]) -> None:
        """Decide waiting updates, and those that arrive meanwhile.

        Adds the updates to *batch*. Raises StorageError.
        """
        most = 1 if self._alone else MAX_SHARED
        self._alone = max(0, self._alone - 1)
        turn = LoopTurn()
        while self._waiting and len(batch) < most:
            batch.append(one := self._waiting.popleft())
            await self._decide(one, turn)
            if turn.is_over or not self._waiting:
                # Clients answered by the previous commit may report again at once.
                await turn.end()

    async def _write_batch(self) -> Lost:
        self._writing_since = stopwatch()
        try:
            return await self._write(self._writes)
        finally:
            self._writing_since = None

    def _publish(self, batch: Sequence[WaitingUpdate], losers: Lost) -> None:
        """Put the committed states into memory, and answer the updates in *batch*."""
        for job in losers:
            self._staged.pop(job, None)
        self._states.update(self._staged)
        self.keys.note(self._staged)
        self.keys.make_room()
        for update in self._without(losers, batch) if losers else batch:
            if not update.answer.done():
                results = update.merged() if update.rounds else update.results
                update.answer.set_result(results)
        self._gathering.expect(len(batch) + len(self._waiting))
        if losers:
            self.adopt(losers)

    def _without(
        self, losers: Lost, batch: Sequence[WaitingUpdate]
    ) -> list[WaitingUpdate]:
        """Return the updates of *batch* that need no further round; queue the others.

        A decision on another job that depends on one of *losers* stays: the follower
        checks dependents again.
        """
        complete: list[WaitingUpdate] = []
        again: list[WaitingUpdate] = []
        for one in batch:
            (complete if one.is_written_without(losers) else again).append(one)
        self.conflicts += sum(len(one.changes) for one in again)
        soon = [one for one in again if one.rounds % ROUNDS]
        self._waiting.extendleft(reversed(soon))
        if later := [one for one in again if not one.rounds % ROUNDS]:
            task = asyncio.create_task(self._pause(later), name="commit again")
            self._pauses.add(task)
            task.add_done_callback(self._pauses.discard)
        return complete

    async def _pause(self, updates: Sequence[WaitingUpdate]) -> None:
        """Queue *updates* in front of all others after a pause."""
        pauses = max(one.rounds for one in updates) // ROUNDS
        await self._sleep(FIRST_PAUSE * 2 ** min(pauses - 1, DOUBLINGS))
        self._waiting.extendleft(reversed(updates))
        self._start()

    async def _decide(self, one: WaitingUpdate, turn: LoopTurn) -> None:
        """Make all decisions of *one*; add those to write to the batch."""
        writes = self._writes
        # This may be a repetition: see `_commit_next`.
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
        # Keys loaded for one state must not get into a later one.
        self._recalled = jobs
        try:
            keys = await self._load(jobs)
        finally:
            self._recalled = ()
        for name in jobs:
            older = keys.get(name, OlderKeys())
            for states in (self._states, self._staged):
                if state := states.get(name):
                    states[name] = with_older_keys(state, *older)
        self.keys.note({n: self._states[n] for n in keys if n in self._states})

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
