"""Search for jobs by query, one page at a time, without blocking pings."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from afterrun_exporter.clock import STEP as LONG
from afterrun_exporter.clock import stopwatch, yield_to_loop
from afterrun_exporter.core.job_query import JobQuery, states_of
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.engine.service import Service

#: The number of jobs that are checked between two looks at the clock.
STEP: Final = 500

Match = tuple[Job, JobState]


async def page(
    service: Service, query: JobQuery, limit: int, after: str = ""
) -> tuple[list[Match], bool]:
    """Return the first *limit* jobs that match after *after*, and True if there are more.

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
        matches += _matches(service, query, names)
        if len(matches) > limit:
            return matches[:limit], True
        if stopwatch() >= until:
            await yield_to_loop()
            until = stopwatch() + LONG


def _matches(service: Service, query: JobQuery, names: Sequence[str]) -> list[Match]:
    """Return the jobs called *names* that match."""
    states, jobs = service.store.states, service.decisions.job_registry.of(names)
    every = [(job, states[job.name]) for job in jobs if job.name in states]
    if (matches := query.predicate) is None:
        return every
    if not query.state:
        return [one for one in every if matches(one[0], ())]
    return [one for one in every if matches(one[0], states_of(*one))]
