"""Numbers of jobs, by state and by what they wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState


class JobCounts:
    """Counts jobs by their status, a change at a time."""

    def __init__(self) -> None:
        self._statuses: dict[str, Status] = {}
        self._counts: Counter[Status] = Counter()
        self._unobserved: set[str] = set()

    def put(self, name: str, now: tuple[Job, JobState] | None) -> None:
        """Count the job of this name as it is *now*; None for one that is no more."""
        before = self._statuses.pop(name, None)
        if before is not None:
            self._counts[before] -= 1
        self._unobserved.discard(name)
        if now is not None:
            self._statuses[name] = state = status(*now)
            self._counts[state] += 1
            if now[1].unobserved is not None:
                self._unobserved.add(name)

    def counts(self) -> Iterable[tuple[Status, int]]:
        """Yield every state with the number of jobs that are in it."""
        return ((state, self._counts[state]) for state in Status)

    @property
    def unobserved(self) -> int:
        """The number of jobs that were last due in a downtime."""
        return len(self._unobserved)
