"""How many jobs are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from afterrun_exporter.core.alerts import Status


class Tally:
    """Counts jobs by their status, a change at a time."""

    def __init__(self) -> None:
        self._statuses: dict[str, Status] = {}
        self._counts: Counter[Status] = Counter()

    def put(self, name: str, now: Status | None) -> None:
        """Count the job of this name as *now*; None for a job that is no more."""
        before = self._statuses.pop(name, None)
        if before is not None:
            self._counts[before] -= 1
        if now is not None:
            self._statuses[name] = now
            self._counts[now] += 1

    def counts(self) -> Iterable[tuple[Status, int]]:
        """Yield every state with the number of jobs that are in it."""
        return ((state, self._counts[state]) for state in Status)
