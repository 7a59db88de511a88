"""Limits of open runs, and the handling of runs that exceed them."""

from __future__ import annotations

import math
from operator import is_
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import downtimes
from afterrun_exporter.core.model import Condition, Job, Settings
from afterrun_exporter.core.state import JobState, OpenRun, Retry

#: Seconds after a late report of a start in which that of its end may follow: clients
#: deliver spooled reports in order, one after another.
CLOSE_BEHIND: Final = 30.0

#: The number of periods, or usual durations, after which a run without a limit is given
#: up; without a known period, after a day at the earliest.
SEVERAL: Final = 5
DAY: Final = 86400.0


def time_limit(job: Job, run: OpenRun) -> float:
    """Return the instant by which *run* must end: its start plus `max_runtime`.

    The shorter one of the job's limit and the run's own limit counts. Heartbeats do not
    extend it, unless its client defines it so (`renews_runtime`).
    """
    longest = min(job.max_runtime or math.inf, run.max_runtime or math.inf)
    if job.renews_runtime:
        return max(run.started_at, run.alive_at) + longest
    return run.started_at + longest


def allowed_silence(job: Job, run: OpenRun) -> float:
    """Return the longest allowed silence of *run*; +inf without a limit.

    The job's `heartbeat` counts, otherwise the one that the run itself announced.
    """
    return (job.heartbeat or run.heartbeat or math.inf) if run.alive_at else math.inf


def silence_limit(job: Job, run: OpenRun) -> float:
    """Return the instant by which *run* must send its next heartbeat, or end."""
    return run.alive_at + allowed_silence(job, run)


def run_limit(job: Job, run: OpenRun) -> float:
    """Return the instant after which *run* is overrunning."""
    return min(time_limit(job, run), silence_limit(job, run))


def is_overdue(job: Job, run: OpenRun, now: float, settings: Settings) -> bool:
    """Return True if *run* is past its limits when another run starts."""
    return overrunning_from(job, run, settings) < now


def is_abandoned(job: Job, state: JobState, run: OpenRun, now: float) -> bool:
    """Return True if the end of *run* will probably never be reported.

    It has no limit, and has been open for several periods of its job and several times
    the last duration. Without a schedule, for a day at least.
    """
    if math.isfinite(run_limit(job, run)):
        return False
    if any(is_later_attempt(run, retry) for retry in state.retries):
        return False
    period = DAY / SEVERAL
    if job.schedule is not None:
        slot = job.schedule.next_after(run.started_at)
        following = job.schedule.next_after(slot)
        # A schedule may end, such as one of this year.
        period = following - slot if math.isfinite(following) else period
    usual = max(period, state.last_duration or 0.0)
    return _last_sign(run) + SEVERAL * usual < now


def is_unobserved(job: Job, run: OpenRun, settings: Settings) -> bool:
    """Return True if *run* must have ended in the downtime, so its report may be lost.

    A heartbeat since then proves that it has not ended; a run that was overrunning
    before did not end when it had to.
    """
    return (
        not run.is_overrunning
        and _last_sign(run) < settings.up_since
        and job.after_downtime is None
        and downtimes.is_unobserved(time_limit(job, run), settings)
    )


def overrunning_from(job: Job, run: OpenRun, settings: Settings) -> float:
    """Return the instant after which *run* is overrunning, if its end is not reported.

    Never, if its end is unobserved.
    """
    if run.is_overrunning or _last_sign(run) >= settings.up_since:
        return run_limit(job, run)
    if is_unobserved(job, run, settings):
        # It is not silent either: it may have ended.
        return math.inf
    limit = time_limit(job, run)
    if downtimes.is_unobserved(limit, settings):
        limit = downtimes.patience(job, settings)
    else:
        limit = downtimes.held_back(run.started_at, limit, settings)
    silence = silence_limit(job, run)
    if silence >= settings.down_since:
        silence = max(silence, settings.up_since + allowed_silence(job, run))
    return min(limit, silence)


def _last_sign(run: OpenRun) -> float:
    return max(run.started_at, run.alive_at)


def run_deadline(job: Job, state: JobState, settings: Settings) -> float:
    """Return the instant after which an open run is overrunning.

    The earliest of all limits, of run time and of silence. A run that was given up
    counts until a run that followed it has ended.
    """
    return first_overrunning(job, state, settings)[0]


def first_overrunning(
    job: Job, state: JobState, settings: Settings
) -> tuple[float, float]:
    """Return the `run_deadline`, and the limit that has passed at that time.

    That limit is earlier if the start of the run was reported after it.
    """
    if not job.enabled:
        return math.inf, math.inf
    noticed = _noticed_at(state)
    first = (math.inf, math.inf)
    for hung in state.hung:
        wait_until = hung.held_until if hung.deadline > noticed else 0.0
        first = min(first, (max(hung.deadline, wait_until), hung.deadline))
    for run in state.open_runs:
        limit = overrunning_from(job, run, settings)
        wait_until = held_until(limit, run) if limit > noticed else 0.0
        first = min(first, (max(limit, wait_until), limit))
    return first


def held_until(limit: float, run: OpenRun) -> float:
    """Return the time until which an alert on *run* for *limit* waits; 0 for no wait.

    If the limit had passed when the start was reported, the run may be over as well.
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


def with_overrunning(
    job: Job, state: JobState, now: float, settings: Settings
) -> JobState:
    """Return *state* with the runs marked that are overrunning by *now*.

    None is newly marked while the job is paused or disabled.
    """
    runs = tuple(_with_overrunning(job, run, now, settings) for run in state.open_runs)
    if all(map(is_, runs, state.open_runs)):
        return state
    return replace(state, open_runs=runs)


def _with_overrunning(
    job: Job, run: OpenRun, now: float, settings: Settings
) -> OpenRun:
    is_over = job.enabled or run.is_overrunning
    is_over = is_over and _certain_from(job, run, settings) < now
    if is_over is run.is_overrunning:
        return run
    return replace(run, is_overrunning=is_over)


def _certain_from(job: Job, run: OpenRun, settings: Settings) -> float:
    """Return the instant after which *run* is overrunning, and not just ended."""
    limit = overrunning_from(job, run, settings)
    return max(limit, held_until(limit, run))


def _noticed_at(state: JobState) -> float:
    """Return the limit of the open alert on an overrunning run."""
    for alert in state.alerts:
        if alert.key.condition is Condition.OVERRUNNING:
            return alert.opened_at
    return -math.inf


def unobserved_runs(
    job: Job, state: JobState, settings: Settings
) -> tuple[OpenRun, ...]:
    """Return the open runs whose end is unobserved; they will be given up."""
    if not job.enabled or not state.open_runs:
        return ()
    return tuple(run for run in state.open_runs if is_unobserved(job, run, settings))


def is_later_attempt(run: OpenRun, retry: Retry) -> bool:
    """Return True if *run* is an attempt after *retry*."""
    return run.run_id == retry.run_id and run.attempt > retry.attempt
