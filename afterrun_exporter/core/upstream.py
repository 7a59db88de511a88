"""Jobs that build on others: whose fault it is when they fail.

While a job that another one requires is unhealthy, alerts of that other one are
held back: they would say the same thing twice. They stay so until it had its
own chance with a healthy upstream, which is its next run or its next deadline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.deadlines import release_at
from afterrun_exporter.core.model import Condition, Job, Outcome, Settings
from afterrun_exporter.core.state import JobState

#: What makes a job unhealthy that another one only waits for: it has not ended.
UNFINISHED: Final = frozenset({Condition.MISSED, Condition.OVERRUNNING})

#: What makes a job unhealthy whose success is required.
UNHEALTHY: Final = UNFINISHED | {Condition.FAILING, Condition.VIOLATED}


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

    The success of one is required where each step on a way to it requires success; of
    any other one no more than that it ends. *look_up* answers a name with the job and
    its state, or with None for one that is not watched: nothing is known to be wrong
    with that.
    """
    found: dict[str, Required] = {}
    successes: set[str] = set()
    waiting = [(one.job, one.requires_success) for one in job.depends_on]
    for name, success in waiting:
        if name == job.name or name in successes or (name in found and not success):
            continue
        if (pair := look_up(name)) is None:
            continue
        if success:
            successes.add(name)
        found[name] = _required_as(*pair, success=success)
        waiting.extend(
            (one.job, success and one.requires_success) for one in pair[0].depends_on
        )
    return tuple(found.values())


def dependents(jobs: Iterable[Job]) -> dict[str, tuple[str, ...]]:
    """Return for each job the jobs that depend on it directly."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        for one in job.depends_on:
            found.setdefault(one.job, []).append(job.name)
    return {name: tuple(names) for name, names in found.items()}


def downstream(name: str, dependents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield every job that depends on *name*, directly or through others."""
    seen = {name}
    waiting = [name]
    for one in waiting:
        for child in dependents.get(one, ()):
            if child not in seen:
                seen.add(child)
                waiting.append(child)
                yield child


def reconciled(
    job: Job,
    state: JobState,
    required: Sequence[Required],
    now: float,
    settings: Settings,
    is_troubled: Callable[[], bool],
) -> JobState:
    """Return *state* with what is known upstream by *now*.

    *is_troubled* is asked for whether the job has anything to heal.
    """
    if not job.depends_on:
        return replace(state, upstream=(), upstream_healed_at=0.0)
    unhealthy = tuple(one.job for one in required if not one.healthy)
    if unhealthy:
        if unhealthy == state.upstream:
            return state
        return replace(state, upstream=unhealthy, upstream_healed_at=0.0)
    if state.upstream:
        state = replace(state, upstream=(), upstream_healed_at=now)
    if state.upstream_healed_at and _had_its_chance(
        job, state, now, settings, is_troubled
    ):
        state = replace(state, upstream_healed_at=0.0)
    return state


def held_back(state: JobState) -> bool:
    """Return whether the alerts of a job are held back for another's fault."""
    return bool(state.upstream or state.upstream_healed_at)


def summary(state: JobState) -> str:
    """Return in words why the alerts of a job are held back."""
    if state.upstream:
        return f"required jobs are unhealthy: {', '.join(state.upstream)}"
    return "required jobs have just recovered; this one has not run since"


def _had_its_chance(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    is_troubled: Callable[[], bool],
) -> bool:
    healed = state.upstream_healed_at
    # A moment ahead of us was noted before the clock was set back.
    if state.last_judged_at >= healed or healed > now:
        return True
    if not job.enabled:
        # While it is paused it has none but a run.
        return False
    release = release_at(job, state, settings)
    return release < now or (math.isinf(release) and not is_troubled())


def _required_as(job: Job, state: JobState, *, success: bool) -> Required:
    holding = {alert.key.condition for alert in state.alerts}
    trouble = ""
    if Condition.MISSED in holding:
        trouble = "it has not run when it should have"
    elif Condition.OVERRUNNING in holding:
        trouble = "its run has not ended when it should have"
    elif success and state.last_outcome not in {None, Outcome.OK}:
        trouble = f"its last run ended with {state.last_outcome}"
    unhealthy = UNHEALTHY if success else UNFINISHED
    return Required(job.name, not holding & unhealthy, trouble)
