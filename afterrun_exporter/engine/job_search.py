"""Finding jobs among very many, a page at a time, while pings are taken."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.clock import STEP as LONG
from afterrun_exporter.clock import stopwatch, yield_to_loop
from afterrun_exporter.core.alerts import BROKEN, Status, status
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.engine.service import Service

#: Jobs that are looked at before anybody asks how long that took.
STEP: Final = 500

Found = tuple[Job, JobState]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are looked for: all that is said here must hold."""

    state: Status | None = None
    #: Whether the last slot that is known of was due in a downtime.
    unobserved: bool | None = None
    #: Keys and values.
    labels: tuple[tuple[str, str], ...] = ()
    project: str | None = None
    tags: tuple[str, ...] = ()
    #: A part of the name, in capitals or not.
    part: str = ""


async def page(
    service: Service, wanted: JobFilter, limit: int, after: str = ""
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
            await yield_to_loop()
            until = stopwatch() + LONG


def _found(
    service: Service, wanted: JobFilter, names: Sequence[str], most: int
) -> list[Found]:
    """Return the first *most* of the jobs called *names* that are *wanted*."""
    if wanted.part:
        part = wanted.part.casefold()
        names = [name for name in names if part in name.casefold()]
    states, jobs = service.store.states, service.decisions.job_registry.of(names)
    found = [(job, states[job.name]) for job in jobs if job.name in states]
    # One thing after the other, for that is the fastest for very many.
    if wanted.project is not None:
        found = [one for one in found if one[0].project == wanted.project]
    for label in wanted.labels:
        found = [one for one in found if label in one[0].labels]
    for tag in wanted.tags:
        found = [one for one in found if tag in one[0].tags]
    return _in_state(found, wanted)[:most]


def _in_state(found: list[Found], wanted: JobFilter) -> list[Found]:
    if wanted.unobserved is not None:
        unobserved = wanted.unobserved
        found = [one for one in found if (one[1].unobserved is not None) is unobserved]
    # Few are in most states, and it is told from afar that the others are not.
    if wanted.state in BROKEN:
        found = [one for one in found if one[1].alerts]
    elif wanted.state is Status.PAUSED:
        found = [one for one in found if not one[0].enabled]
    elif wanted.state is Status.RETRYING:
        found = [one for one in found if one[1].retries]
    elif wanted.state is Status.NEW:
        found = [one for one in found if one[1].last_outcome is None]
    if wanted.state is not None:
        found = [one for one in found if status(*one) is wanted.state]
    return found
