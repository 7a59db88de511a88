"""Jobs that build on others: whose fault it is when they fail.

While a job that another one requires is unhealthy, alerts of that other one are
held back: they would say the same thing twice. They stay so until it had its
own chance with a healthy upstream, which is its next run or its next deadline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from afterrun_exporter.core.deadlines import release_at
from afterrun_exporter.core.model import BLAMELESS, Condition, Job, Outcome
from afterrun_exporter.core.state import JobState

#: What makes a required job unhealthy.
UNHEALTHY = frozenset({Condition.MISSED, Condition.FAILING, Condition.VIOLATED})


@dataclass(frozen=True, slots=True)
class Required:
    """A job that another one requires, directly or through others."""

    job: str
    healthy: bool
    #: What is wrong with its last run, in words; "" when nothing is.
    trouble: str


def requirements(
    job: Job, look_up: Callable[[str], tuple[Job, JobState] | None]
) -> tuple[Required, ...]:
    """Return all jobs that *job* requires, the nearest first.

    *look_up* answers a name with the job and its state, or with None for one
    that is not watched: nothing is known to be wrong with that.
    """
    found: dict[str, Required] = {}
    waiting = [*_required(job)]
    for name in waiting:
        if name in found or name == job.name or (pair := look_up(name)) is None:
            continue
        found[name] = _required_as(*pair)
        waiting.extend(_required(pair[0]))
    return tuple(found.values())


def dependents(jobs: Iterable[Job]) -> dict[str, tuple[str, ...]]:
    """Return for each job that is required the jobs that require it directly."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        for name in _required(job):
            found.setdefault(name, []).append(job.name)
    return {name: tuple(names) for name, names in found.items()}


def downstream(name: str, dependents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield every job that requires *name*, directly or through others."""
    seen = {name}
    waiting = [name]
    for one in waiting:
        for child in dependents.get(one, ()):
            if child not in seen:
                seen.add(child)
                waiting.append(child)
                yield child


def reconciled(
    job: Job, state: JobState, required: Sequence[Required], now: float
) -> JobState:
    """Return *state* with what is known upstream by *now*."""
    if not any(_required(job)):
        return replace(state, upstream=(), upstream_healed_at=0.0)
    unhealthy = tuple(one.job for one in required if not one.healthy)
    if unhealthy:
        if unhealthy == state.upstream:
            return state
        return replace(state, upstream=unhealthy, upstream_healed_at=0.0)
    if state.upstream:
        state = replace(state, upstream=(), upstream_healed_at=now)
    if state.upstream_healed_at and _had_its_chance(job, state, now):
        state = replace(state, upstream_healed_at=0.0)
    return state


def held_back(state: JobState) -> bool:
    """Return whether the alerts of a job are held back for another's fault."""
    return bool(state.upstream or state.upstream_healed_at)


def _had_its_chance(job: Job, state: JobState, now: float) -> bool:
    healed = state.upstream_healed_at
    # A moment ahead of us was noted before the clock was set back.
    release = release_at(job, state)
    if state.last_judged_at >= healed or healed > now or release < now:
        return True
    troubled = any(a.key.condition not in BLAMELESS for a in state.alerts)
    return math.isinf(release) and not troubled


def _required(job: Job) -> Iterator[str]:
    return (one.job for one in job.depends_on if one.requires_success)


def _required_as(job: Job, state: JobState) -> Required:
    holding = {alert.key.condition for alert in state.alerts}
    trouble = ""
    if Condition.MISSED in holding:
        trouble = "it has not run when it should have"
    elif state.last_outcome not in {None, Outcome.OK}:
        trouble = f"its last run ended with {state.last_outcome}"
    return Required(job.name, not holding & UNHEALTHY, trouble)
