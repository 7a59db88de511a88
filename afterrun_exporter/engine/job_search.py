"""Search for jobs by filter, one page at a time, without blocking pings."""

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

#: The number of jobs that are checked between two looks at the clock.
STEP: Final = 500

Match = tuple[Job, JobState]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """A filter for jobs; all of its conditions must match."""

    state: Status | None = None
    #: True for jobs whose last slot was due in a downtime, False for the others.
    unobserved: bool | None = None
    #: Keys and values.
    labels: tuple[tuple[str, str], ...] = ()
    project: str | None = None
    tags: tuple[str, ...] = ()
    #: A part of the name, in any case.
    part: str = ""


async def page(
    service: Service, job_filter: JobFilter, limit: int, after: str = ""
) -> tuple[list[Match], bool]:
    """Return the first *limit* jobs that match after the name *after*, and True if
    there are more.

    They are in the order of their names. A job that is added or removed during the
    search may be missing; every other match is returned exactly once.
    """
    matches: list[Match] = []
    until = stopwatch() + LONG
    while True:
        # The names may have changed since the last yield to the event loop.
        start = bisect_right(service.names, after)
        names = service.names[start : start + STEP]
        if not names:
            return matches, False
        after = names[-1]
        matches += _matches(service, job_filter, names, limit + 1 - len(matches))
        if len(matches) > limit:
            return matches[:limit], True
        if stopwatch() >= until:
            await yield_to_loop()
            until = stopwatch() + LONG


def _matches(
    service: Service, job_filter: JobFilter, names: Sequence[str], most: int
) -> list[Match]:
    """Return the first *most* of the jobs called *names* that match."""
    if job_filter.part:
        part = job_filter.part.casefold()
        names = [name for name in names if part in name.casefold()]
    states, jobs = service.store.states, service.decisions.job_registry.of(names)
    matches = [(job, states[job.name]) for job in jobs if job.name in states]
    # One filter after the other, which is fastest for many jobs.
    if job_filter.project is not None:
        matches = [one for one in matches if one[0].project == job_filter.project]
    for label in job_filter.labels:
        matches = [one for one in matches if label in one[0].labels]
    for tag in job_filter.tags:
        matches = [one for one in matches if tag in one[0].tags]
    return _in_state(matches, job_filter)[:most]


def _in_state(matches: list[Match], job_filter: JobFilter) -> list[Match]:
    if job_filter.unobserved is not None:
        unobserved = job_filter.unobserved
        matches = [
            one for one in matches if (one[1].unobserved is not None) is unobserved
        ]
    # Most states are rare: exclude other jobs with a cheap check first.
    if job_filter.state in BROKEN:
        matches = [one for one in matches if one[1].alerts]
    elif job_filter.state is Status.PAUSED:
        matches = [one for one in matches if not one[0].enabled]
    elif job_filter.state is Status.RETRYING:
        matches = [one for one in matches if one[1].retries]
    elif job_filter.state is Status.NEW:
        matches = [one for one in matches if one[1].last_outcome is None]
    if job_filter.state is not None:
        matches = [one for one in matches if status(*one) is job_filter.state]
    return matches
