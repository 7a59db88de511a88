"""When which job wants to be looked at next."""

from __future__ import annotations

import heapq
import math


class WakeupQueue:
    """At most one appointment a job that counts, the earliest that was made.

    A job whose time moves away is not moved here: its old appointment comes
    up, and is then made anew. So a ping costs no search, and jobs that ping
    often do not pile up appointments.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._next: dict[str, float] = {}

    def plan(self, name: str, when: float) -> None:
        """Look at *name* at *when*, or earlier if that was planned before."""
        if when < self._next.get(name, math.inf):
            self._next[name] = when
            heapq.heappush(self._heap, (when, name))

    def clear(self) -> None:
        """Forget all appointments: each is to be made anew."""
        self._heap.clear()
        self._next.clear()

    def next(self) -> float:
        """Return when to look again; it may turn out to be too early."""
        return self._heap[0][0] if self._heap else math.inf

    def when(self, name: str) -> float:
        """Return when *name* is looked at next; -inf where nothing is planned."""
        return self._next.get(name, -math.inf)

    def take_due(self, now: float) -> list[str]:
        """Return the jobs whose time has come, and cross them out."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            when, name = heapq.heappop(self._heap)
            if self._next.get(name) == when:
                del self._next[name]
                due.append(name)
        return due
