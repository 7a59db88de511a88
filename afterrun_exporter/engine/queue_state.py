"""Counts of what runs, waits and is missed, as schedulers show their queues."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from heapq import nsmallest
from math import isfinite

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.deadlines import deadline, next_slot
from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.status import Status, status
from afterrun_exporter.engine.service import Service

#: A slot, its deadline, and the name of the job.
Upcoming = tuple[float, float, str]


@dataclass(slots=True)
class QueueState:
    """All jobs, counted at one time."""

    jobs: Counter[Status] = field(default_factory=Counter)
    unobserved: int = 0
    open_runs: int = 0
    retrying: int = 0
    #: Jobs whose next slot is in the future, and jobs whose slot has passed without a
    #: run, before the deadline.
    waiting: int = 0
    due: int = 0
    missed: int = 0
    #: The next slots, soonest first.
    upcoming: list[Upcoming] = field(default_factory=list)


async def queue_state(service: Service, now: float, limit: int) -> QueueState:
    """Return the counts of all jobs, and the next *limit* slots."""
    result = QueueState()
    waiting: list[Upcoming] = []
    async for name in cooperatively(service.names):
        entry = service.job_and_state(name)
        if entry is None:
            continue
        job, state = entry
        result.jobs[status(job, state)] += 1
        result.unobserved += state.unobserved is not None
        result.open_runs += len(state.open_runs)
        result.retrying += len(state.retries)
        if any(one.key.condition is Condition.MISSED for one in state.alerts):
            result.missed += 1
            continue
        slot = next_slot(job, state, service.settings)
        if not isfinite(slot):
            continue
        if slot <= now:
            result.due += 1
        else:
            result.waiting += 1
            waiting.append((slot, deadline(job, state, service.settings), name))
        if len(waiting) > 2 * limit + 1000:
            waiting = nsmallest(limit, waiting)
    result.upcoming = nsmallest(limit, waiting)
    return result
