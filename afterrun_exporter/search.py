"""Finding jobs among very many, a page at a time, while pings are taken."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.clock import STEP as LONG
from afterrun_exporter.clock import breathe, stopwatch
from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.service import Service

#: Jobs that are looked at before anybody asks how long that took.
STEP: Final = 500

Found = tuple[Job, JobState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are looked for: all that is said here must hold."""

    state: Status | None = None
    #: Keys and values.
    labels: tuple[tuple[str, str], ...] = ()
    project: str | None = None
    tags: tuple[str, ...] = ()
    #: A part of the name, in capitals or not.
    part: str = ""

    @property
    def looks_at_the_job(self) -> bool:
        """Whether more is asked for than a name and a state."""
        return bool(self.labels or self.tags or self.project is not None)

    def describes(self, job: Job) -> bool:
        """Return whether the configuration has *job* as it is looked for."""
        return (
            (self.project is None or job.project == self.project)
            and all(tag in job.tags for tag in self.tags)
            and all(label in job.labels for label in self.labels)
        )


async def page(
    service: Service, wanted: Wanted, limit: int, after: str = ""
) -> tuple[list[Found], bool]:
    """Return the first *limit* jobs that are *wanted* after the name *after*, and
    whether there are more.

    In the order of their names. A job that comes or goes meanwhile may or may not
    be among them; the others are, once.
    """
    found: list[Found] = []
    until = stopwatch() + LONG
    while True:
        # Names come and go whenever others have their turn.
        start = bisect_right(service.names, after)
        names = service.names[start : start + STEP]
        if not names:
            return found, False
        after = names[-1]
        found += _found(service, wanted, names, limit + 1 - len(found))
        if len(found) > limit:
            return found[:limit], True
        if stopwatch() >= until:
            await breathe()
            until = stopwatch() + LONG


def _found(
    service: Service, wanted: Wanted, names: Sequence[str], most: int
) -> list[Found]:
    found: list[Found] = []
    if wanted.part:
        part = wanted.part.casefold()
        names = [name for name in names if part in name.casefold()]
    for name in names:
        known = service.known(name)
        if known is None or (
            wanted.looks_at_the_job and not wanted.describes(known[0])
        ):
            continue
        if wanted.state is None or status(*known) is wanted.state:
            found.append(known)
            if len(found) == most:
                break
    return found
