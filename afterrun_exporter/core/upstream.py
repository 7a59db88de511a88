"""Dependencies between jobs: alerts that have their cause in another job.

While a job that another one requires is unhealthy, alerts of that other one are held
back: they would repeat the same problem. They are held back until the other job has had
a chance with a healthy upstream: until its next run or its next deadline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.deadlines import release_at
from afterrun_exporter.core.model import Condition, Job, Outcome, Settings
from afterrun_exporter.core.state import JobState, OpenAlert

#: Conditions that make a job unhealthy for one that only waits for its end.
UNFINISHED: Final = frozenset({Condition.MISSED, Condition.OVERRUNNING})

#: Conditions that make a job unhealthy for one that requires its success.
UNHEALTHY: Final = UNFINISHED | {Condition.FAILING, Condition.VIOLATED}

#: Alerts of a job that are held back while a job that it requires is unhealthy.
HELD_BACK: Final = (
    Condition.MISSED,
    Condition.FAILING,
    Condition.VIOLATED,
    Condition.OVERRUNNING,
    Condition.SUCCESS_RATIO_LOW,
    Condition.SLOW,
)


@dataclass(frozen=True, slots=True)
class Required:
    """A job that another one requires, directly or through others."""

    job: str
    healthy: bool
    #: The problem of its last run, in words; "" for none.
    trouble: str


def was_held_back(alert: OpenAlert, state: JobState) -> bool:
    """Return True if *alert* began while the job waited for another one.

    It must not be visible any longer than the waiting, or it would begin to fire.
    """
    return alert.key.condition in HELD_BACK and any(
        one.key.condition is Condition.UPSTREAM_UNHEALTHY
        and one.shown_at <= alert.shown_at
        for one in state.alerts
    )


def requirements(
    job: Job, look_up: Callable[[str], tuple[Job, JobState] | None]
) -> tuple[Required, ...]:
    """Return all jobs that *job* requires, the nearest first.

    The success of a job is required if each step on a way to it requires success;
    otherwise only its end. *look_up* returns the job of a name with its state, or None
    for a job that is not watched, which counts as healthy.
    """
    requirements_by_job: dict[str, Required] = {}
    successes: set[str] = set()
    waiting = [(one.job, one.requires_success) for one in job.depends_on]
    for name, success in waiting:
        if (
            name == job.name
            or name in successes
            or (name in requirements_by_job and not success)
        ):
            continue
        if (pair := look_up(name)) is None:
            continue
        if success:
            successes.add(name)
        requirements_by_job[name] = _required_as(*pair, success=success)
        waiting.extend(
            (one.job, success and one.requires_success) for one in pair[0].depends_on
        )
    return tuple(requirements_by_job.values())


def dependents(jobs: Iterable[Job]) -> dict[str, tuple[str, ...]]:
    """Return the direct dependents of each job."""
    names_by_job: dict[str, list[str]] = {}
    for job in jobs:
        for one in job.depends_on:
            names_by_job.setdefault(one.job, []).append(job.name)
    return {name: tuple(names) for name, names in names_by_job.items()}


def downstream(name: str, dependents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield every job that depends on *name*, directly or through others."""
    visited = {name}
    waiting = [name]
    for one in waiting:
        for child in dependents.get(one, ()):
            if child not in visited:
                visited.add(child)
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
    """Return *state* with the upstream facts of *now*.

    *is_troubled* is called to check if the job has a problem of its own.
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
    if state.upstream_healed_at and _has_had_chance(
        job, state, now, settings, is_troubled
    ):
        state = replace(state, upstream_healed_at=0.0)
    return state


def held_back(state: JobState) -> bool:
    """Return True if the alerts of a job are held back because of another job."""
    return bool(state.upstream or state.upstream_healed_at)


def summary(state: JobState) -> str:
    """Return the reason why the alerts of a job are held back, in words."""
    if state.upstream:
        return f"required jobs are unhealthy: {', '.join(state.upstream)}"
    return "required jobs have just recovered; this one has not run since"


def _has_had_chance(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    is_troubled: Callable[[], bool],
) -> bool:
    healed = state.upstream_healed_at
    # A later time than now was recorded before the clock was set back.
    if state.last_judged_at >= healed or healed > now:
        return True
    if not job.enabled:
        # While paused, only a run is a chance.
        return False
    release = release_at(job, state, settings)
    return release < now or (math.isinf(release) and not is_troubled())


def _required_as(job: Job, state: JobState, *, success: bool) -> Required:
    holding = {alert.key.condition for alert in state.alerts}
    trouble = ""
    if Condition.MISSED in holding:
        trouble = "it did not run when it was due"
    elif Condition.OVERRUNNING in holding:
        trouble = "its run did not end in time"
    elif success and state.last_outcome not in {None, Outcome.OK}:
        trouble = f"its last run ended with {state.last_outcome}"
    unhealthy = UNHEALTHY if success else UNFINISHED
    return Required(job.name, not holding & unhealthy, trouble)
