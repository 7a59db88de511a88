"""When a run that is open must have ended, and what becomes of it if it has not."""

from __future__ import annotations

import math
from operator import is_
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import downtimes
from afterrun_exporter.core.model import Condition, Job, Settings
from afterrun_exporter.core.state import JobState, OpenRun, Retry

#: Seconds after the late report of a start in which that of its end may be on its way:
#: clients deliver what they have kept in order, one after another.
CLOSE_BEHIND: Final = 30.0

#: After how many periods, or usual durations, a run without a limit is given up, and
#: where no period is known, not before a day.
SEVERAL: Final = 5
DAY: Final = 86400.0


def time_limit(job: Job, run: OpenRun) -> float:
    """Return the instant by which *run* must end: its `max_runtime` from its start on.

    Of the job's limit and the one that the run set itself, the shorter counts. Signs
    of life do not move it, unless its client measures it so (`renews_runtime`).
    """
    longest = min(job.max_runtime or math.inf, run.max_runtime or math.inf)
    if job.renews_runtime:
        return max(run.started_at, run.alive_at) + longest
    return run.started_at + longest


def silence_of(job: Job, run: OpenRun) -> float:
    """Return the longest silence that *run* may keep; +inf where none is too long.

    The job's `heartbeat` counts, or else the one that the run's own reports announced.
    """
    return (job.heartbeat or run.heartbeat or math.inf) if run.alive_at else math.inf


def silence_limit(job: Job, run: OpenRun) -> float:
    """Return the instant by which *run* must send its next sign of life, or end."""
    return run.alive_at + silence_of(job, run)


def run_limit(job: Job, run: OpenRun) -> float:
    """Return the instant after which *run* is overrunning."""
    return min(time_limit(job, run), silence_limit(job, run))


def is_overdue(job: Job, run: OpenRun, now: float, settings: Settings) -> bool:
    """Return True if *run* is past its limits for good, as another run starts."""
    return overrunning_from(job, run, settings) < now


def is_abandoned(job: Job, state: JobState, run: OpenRun, now: float) -> bool:
    """Return True if nobody will report the end of *run*, as far as one can tell.

    It has no limit of its own, and has been open for several periods of its job and
    several times as long as the run before. Without a schedule, for a day at least.
    """
    if math.isfinite(run_limit(job, run)):
        return False
    if any(is_later_attempt(run, retry) for retry in state.retries):
        return False
    period = DAY / SEVERAL
    if job.schedule is not None:
        slot = job.schedule.next_after(run.started_at)
        period = job.schedule.next_after(slot) - slot
    usual = max(period, state.last_duration or 0.0)
    return _last_sign(run) + SEVERAL * usual < now


def is_unobserved(job: Job, run: OpenRun, settings: Settings) -> bool:
    """Return True if *run* may have ended in the downtime, as it must have.

    A sign of life since then shows that it has not, and one that was overrunning before
    then did not end when it had to.
    """
    return (
        not run.is_overrunning
        and _last_sign(run) < settings.up_since
        and job.after_downtime is None
        and downtimes.is_unobserved(time_limit(job, run), settings)
    )


def overrunning_from(job: Job, run: OpenRun, settings: Settings) -> float:
    """Return the instant after which *run* is overrunning, if its end is not reported.

    That is never where the end is unobserved.
    """
    if run.is_overrunning or _last_sign(run) >= settings.up_since:
        return run_limit(job, run)
    if is_unobserved(job, run, settings):
        # Nor is it silent: it may have ended.
        return math.inf
    limit = time_limit(job, run)
    if downtimes.is_unobserved(limit, settings):
        limit = downtimes.patience(job, settings)
    else:
        limit = downtimes.held_back(run.started_at, limit, settings)
    silence = silence_limit(job, run)
    if silence >= settings.down_since:
        silence = max(silence, settings.up_since + silence_of(job, run))
    return min(limit, silence)


def _last_sign(run: OpenRun) -> float:
    return max(run.started_at, run.alive_at)


def run_deadline(job: Job, state: JobState, settings: Settings) -> float:
    """Return the instant after which an open run is overrunning.

    That is the earliest of all their limits: of run time, and of silence. A run that
    was given up counts until one that followed it has ended.
    """
    return first_overrunning(job, state, settings)[0]


def first_overrunning(
    job: Job, state: JobState, settings: Settings
) -> tuple[float, float]:
    """Return the `run_deadline`, and the limit that passes or has passed by then.

    That limit is earlier where the start of the run was reported after it.
    """
    if not job.enabled:
        return math.inf, math.inf
    noticed = _noticed_at(state)
    first = (math.inf, math.inf)
    for hung in state.hung:
        held = hung.held_until if hung.deadline > noticed else 0.0
        first = min(first, (max(hung.deadline, held), hung.deadline))
    for run in state.open_runs:
        limit = overrunning_from(job, run, settings)
        held = held_until(limit, run) if limit > noticed else 0.0
        first = min(first, (max(limit, held), limit))
    return first


def held_until(limit: float, run: OpenRun) -> float:
    """Return until when an alert on *run* waits, whose *limit* is given; 0 for not at all.

    Where the limit had passed when the start was reported, the run may be over as well.
    """
    return run.reported_at + CLOSE_BEHIND if limit < run.reported_at else 0.0


def next_overrunning(job: Job, state: JobState, settings: Settings) -> float:
    """Return the instant after which another open run is overrunning, or +inf."""
    if not job.enabled:
        return math.inf
    return min(
        (
            _certain_from(job, run, settings)
            for run in state.open_runs
            if not run.is_overrunning
        ),
        default=math.inf,
    )


def watched(job: Job, state: JobState, now: float, settings: Settings) -> JobState:
    """Return *state* with those open runs marked that are overrunning by *now*.

    While the job is paused or disabled none is added.
    """
    runs = tuple(_watched(job, run, now, settings) for run in state.open_runs)
    if all(map(is_, runs, state.open_runs)):
        return state
    return replace(state, open_runs=runs)


def _watched(job: Job, run: OpenRun, now: float, settings: Settings) -> OpenRun:
    is_over = job.enabled or run.is_overrunning
    is_over = is_over and _certain_from(job, run, settings) < now
    if is_over is run.is_overrunning:
        return run
    return replace(run, is_overrunning=is_over)


def _certain_from(job: Job, run: OpenRun, settings: Settings) -> float:
    """Return the instant after which *run* is overrunning, and has not just ended."""
    limit = overrunning_from(job, run, settings)
    return max(limit, held_until(limit, run))


def _noticed_at(state: JobState) -> float:
    """Return the limit that the alert is about while a run is overrunning."""
    for alert in state.alerts:
        if alert.key.condition is Condition.OVERRUNNING:
            return alert.opened_at
    return -math.inf


def unobserved_runs(
    job: Job, state: JobState, settings: Settings
) -> tuple[OpenRun, ...]:
    """Return the open runs whose end is unobserved; they are given up in the end."""
    if not job.enabled or not state.open_runs:
        return ()
    return tuple(run for run in state.open_runs if is_unobserved(job, run, settings))


def is_later_attempt(run: OpenRun, retry: Retry) -> bool:
    """Return True if *run* is an attempt that *retry* waits for."""
    return run.run_id == retry.run_id and run.attempt > retry.attempt
