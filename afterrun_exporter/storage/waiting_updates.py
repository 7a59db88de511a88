"""Updates that wait for their commit."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from afterrun_exporter.core.state import Transition
from afterrun_exporter.storage.store import Change


@dataclass(slots=True)
class WaitingUpdate:
    """Changes that are committed together, until all of them are."""

    changes: Sequence[Change]
    answer: asyncio.Future[list[Transition | Exception]]
    #: Of `changes`, in this round.
    results: list[Transition | Exception] = field(default_factory=list)
    #: The number of lost comparisons. After the first one `changes` has only those to
    #: decide again; then the results of all, and the places of these among them.
    rounds: int = 0
    all_results: list[Transition | Exception] = field(default_factory=list)
    places: Sequence[int] = ()

    def is_written_without(self, losers: Collection[str]) -> bool:
        """Return True if no change is of a job in *losers*; otherwise keep only those."""
        again = [at for at, one in enumerate(self.changes) if one.job in losers]
        if not again:
            return True
        places = self.places if self.rounds else range(len(self.changes))
        self.all_results = self.merged() if self.rounds else self.results
        self.changes = [self.changes[at] for at in again]
        self.places = [places[at] for at in again]
        self.rounds += 1
        return False

    def merged(self) -> list[Transition | Exception]:
        """Return the results of all changes, in their order."""
        for place, result in zip(self.places, self.results, strict=True):
            self.all_results[place] = result
        return self.all_results


class Gathering:
    """The wait for clients that are likely to report again soon.

    A commit to a server costs as much as many reports, here and in the server. So it
    waits for as many updates as shared the last one or arrived meanwhile, up to *most*
    of them and for up to *patience* seconds. Updates that come one by one do not wait.
    """

    def __init__(self, patience: float, most: int) -> None:
        self._patience = patience
        self._most = most
        self._expected = 1
        self._are_enough = asyncio.Event()

    def expect(self, count: int) -> None:
        """Expect as many updates before the next commit."""
        self._expected = min(count, self._most)

    def note(self, count: int) -> None:
        """Note that *count* updates are waiting."""
        if count >= self._expected:
            self._are_enough.set()

    async def wait(self, count: int) -> None:
        """Wait until enough updates are waiting; *count* of them are."""
        if not self._patience or count >= self._expected:
            return
        self._are_enough.clear()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._patience, self._are_enough.set)
        try:
            await self._are_enough.wait()
        finally:
            timer.cancel()


def refuse(batch: Sequence[WaitingUpdate], error: Exception) -> None:
    """Answer the updates of *batch* with *error*."""
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
            # The client may have gone: mark the error as retrieved.
            one.answer.exception()
