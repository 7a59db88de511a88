"""Many updates, one commit: whatever waits while the disk syncs goes next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.clock import breathe
from afterrun_exporter.core.state import JobState, Transition, same_facts
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.store import Change

#: Requests that share one commit at most, so that none waits long for others.
MAX_SHARED: Final = 512

#: Changes of one request that are decided before everything else gets its turn.
STEP: Final = 500

#: Transitions to write in one transaction, in the order they were decided.
Writes = Sequence[tuple[str, Transition]]
Write = Callable[[Writes], Awaitable[None]]


@dataclass(slots=True)
class _Waiting:
    changes: Sequence[Change]
    answer: asyncio.Future[list[Transition | Exception]]


@dataclass(slots=True)
class _Decided:
    waiting: _Waiting
    results: list[Transition | Exception]


class GroupCommit:
    """Decides updates one after another and commits those that wait together.

    Deciding happens on the event loop, against committed states, and only
    writing leaves it: no lock, no lost update, and no answer before the commit
    that it stands for.
    """

    def __init__(self, states: dict[str, JobState], write: Write) -> None:
        self._states = states
        self._write = write
        #: What was decided since the last commit.
        self._staged: dict[str, JobState] = {}
        self._waiting: list[_Waiting] = []
        self._drain: asyncio.Task[None] | None = None

    def update_all(
        self, changes: Sequence[Change]
    ) -> asyncio.Future[list[Transition | Exception]]:
        """See `Store.update_all`.

        A client that hangs up takes back its own question, not what is written.
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

    async def drained(self) -> None:
        """Return once nothing waits any more."""
        while self._drain is not None:
            await self._drain

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:MAX_SHARED]
                del self._waiting[:MAX_SHARED]
                await self._commit(batch)
                if self._waiting:
                    # Who was answered may report again at once, and share the next.
                    await breathe()
        finally:
            self._drain = None

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        self._staged = {}
        decided = [_Decided(one, await self._decide(one.changes)) for one in batch]
        try:
            await self._write(_writes(decided, self._states))
        except StorageError as error:
            _refuse(batch, error)
        except Exception as error:  # noqa: BLE001 - raised again, to whom it belongs
            if len(batch) > 1:
                # One of them cannot be written, whatever it is: find out which.
                for one in batch:
                    await self._commit([one])
                return
            _refuse(batch, error)
        else:
            self._states.update(self._staged)
            for done in decided:
                if not done.waiting.answer.done():
                    done.waiting.answer.set_result(done.results)

    async def _decide(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        results: list[Transition | Exception] = []
        for count, change in enumerate(changes, start=1):
            if count % STEP == 0:
                # Nobody else decides meanwhile: they wait for this commit.
                await breathe()
            before = self.latest(change.job)
            try:
                transition = change.decide(before)
            except Exception as error:  # noqa: BLE001 - it is the answer
                results.append(error)
                continue
            if transition.state is not before:
                self._staged[change.job] = transition.state
            results.append(transition)
        return results


def _writes(
    decided: Sequence[_Decided], states: Mapping[str, JobState]
) -> list[tuple[str, Transition]]:
    writes: list[tuple[str, Transition]] = []
    latest: dict[str, JobState] = {}
    for one in decided:
        for change, result in zip(one.waiting.changes, one.results, strict=True):
            if not isinstance(result, Transition):
                continue
            before = latest.get(change.job) or states.get(change.job)
            if _has_news(result, before):
                writes.append((change.job, result))
            latest[change.job] = result.state
    return writes


def _has_news(transition: Transition, before: JobState | None) -> bool:
    if transition.runs or transition.alerts or transition.logs or before is None:
        return True
    return transition.state is not before and not same_facts(transition.state, before)


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
            # Nobody may be left to hear of it.
            one.answer.exception()
