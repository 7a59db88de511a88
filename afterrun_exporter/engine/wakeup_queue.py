"""A queue of the next checks of jobs."""

from __future__ import annotations

import heapq
import math
from typing import Final

#: Outdated entries that do not matter, whatever the number of jobs.
_FEW: Final = 64


class WakeupQueue:
    """The earliest planned check of each job.

    A later time does not move a planned check: the check happens early and is planned
    again. So a ping needs no search, and frequent pings do not accumulate entries.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._next: dict[str, float] = {}

    def plan(self, name: str, when: float) -> None:
        """Plan a check of *name* at *when*, unless an earlier one is planned."""
        if when < self._next.get(name, math.inf):
            self._next[name] = when
            heapq.heappush(self._heap, (when, name))
            if len(self._heap) > 2 * len(self._next) + _FEW:
                self._remove_outdated()

    def __len__(self) -> int:
        """Return the number of entries, including outdated ones."""
        return len(self._heap)

    def clear(self) -> None:
        """Remove all planned checks."""
        self._heap.clear()
        self._next.clear()

    def next(self) -> float:
        """Return the time of the next check, which may be too early."""
        return self._heap[0][0] if self._heap else math.inf

    def when(self, name: str) -> float:
        """Return the time of the next check of *name*; -inf if none is planned."""
        return self._next.get(name, -math.inf)

    def take_due(self, now: float) -> list[str]:
        """Remove and return the jobs whose check is due."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            when, name = heapq.heappop(self._heap)
            if self._next.get(name) == when:
                del self._next[name]
                due.append(name)
        return due

    def _remove_outdated(self) -> None:
        """Remove the entries that earlier checks have replaced.

        Each of them would stay until its time, which may be a day away.
        """
        self._heap = [(when, name) for name, when in self._next.items()]
        heapq.heapify(self._heap)
