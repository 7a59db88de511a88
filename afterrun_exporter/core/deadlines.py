"""When a job is due, and from when on it is missed or overrunning."""

from __future__ import annotations

import math
from typing import Final

from afterrun_exporter.core.model import Condition, Job, Settings
from afterrun_exporter.core.schedule import Cron, Every, early_limit
from afterrun_exporter.core.state import JobState, OpenRun, Retry

#: The share of its `max_runtime` that is too little to try a run again in.
ALMOST: Final = 0.1

#: How far ahead of us what we noted ourselves may be.
LEAP: Final = 3600.0


def schedule_text(job: Job) -> str:
    """Return what slots are expected of *job* by; "" when none is."""
    if not job.enabled or job.schedule is None:
        return ""
    zone = job.schedule.zone if isinstance(job.schedule, Cron) else ""
    return f"{job.schedule.text} {zone}".rstrip()


def slot_after(job: Job, instant: float) -> float:
    """Return the first slot later than *instant*; +inf when there is none."""
    if not job.enabled or job.schedule is None:
        return math.inf
    return job.schedule.next_after(instant)


def next_slot(job: Job, state: JobState) -> float:
    """Return the first slot that has neither been run nor counted as missed."""
    return slot_after(job, max(state.covered_until, state.missed_through))


def slot_deadline(job: Job, state: JobState, slot: float, settings: Settings) -> float:
    """Return the last moment at which a run for *slot* is not late.

    A run that started in time has its whole `max_runtime`, and what fell into
    the daemon's own downtime is not judged before `settled_at`. Signs of life alone
    give it no more time: a run that hangs may go on sending them.
    """
    return max(_deadline_of(job, state, slot), settings.settled_at)


def _deadline_of(job: Job, state: JobState, slot: float) -> float:
    deadline = slot + job.grace
    for run in state.open_runs:
        if is_in_time(job, state, run.started_at, slot):
            limit = time_limit(job, run)
            deadline = max(deadline, limit if math.isfinite(limit) else -math.inf)
    return deadline


def is_in_time(job: Job, state: JobState, begun: float, slot: float) -> bool:
    """Return True if a run that began at *begun* is a run for *slot*, and not late.

    The slots of `every` go by the last finish, and timers often by the last start: any
    run that began since that finish is the run for the next slot, however early.
    """
    if isinstance(job.schedule, Every):
        # A pause moves the slots on, and a run that goes on meanwhile is no older run.
        return min(state.due_after, state.last_finish_at) <= begun <= slot + job.grace
    return slot - job.early <= begun <= slot + job.grace


def deadline(job: Job, state: JobState, settings: Settings) -> float:
    """Return the instant after which *job* counts as missed; +inf for never.

    After a miss it stays where it is until the job runs: moving it on would
    silence the alert.
    """
    if state.missed_deadline is not None:
        return state.missed_deadline
    return slot_deadline(job, state, next_slot(job, state), settings)


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
    """Return whether *run* is past its limits for good, as another run starts.

    Its signs of life may not have arrived while the daemon was down.
    """
    silent_since = _settled(silence_limit(job, run), run, settings)
    return min(time_limit(job, run), silent_since) < now


def _settled(limit: float, run: OpenRun, settings: Settings) -> float:
    if max(run.started_at, run.alive_at) >= settings.up_since:
        return limit
    return max(limit, settings.settled_at)


def run_deadline(job: Job, state: JobState, settings: Settings) -> float:
    """Return the instant after which an open run is overrunning.

    That is the earliest of all their limits: of run time, and of silence.
    """
    if not job.enabled or not state.open_runs:
        return math.inf
    if _holds(state, Condition.OVERRUNNING):
        return min(run_limit(job, run) for run in state.open_runs)
    return min(_settled(run_limit(job, run), run, settings) for run in state.open_runs)


def attempt_deadline(
    job: Job,
    state: JobState,
    begun: float,
    started: float,
    since: float,
    patience: float,
) -> float:
    """Return when a run must have gone on that began at *begun* and failed once.

    Its attempt that *started* last is waited for since *since*. That is until the
    deadline of its slot or the end of its `max_runtime`, whichever is later; with
    neither for *patience*. Where there is no time left, it is `grace` from then on: an
    attempt that was killed at its `max_runtime` is tried again, too.
    """
    slot = next_slot(job, state)
    late = slot + job.grace
    in_time = is_in_time(job, state, begun, slot)
    if begun < slot - job.early:
        late = min(late, since + patience)
    limit = -math.inf if job.max_runtime is None else started + job.max_runtime
    if in_time and limit <= late:
        until = late
    elif job.max_runtime is not None:
        left = limit - since
        until = limit if left > ALMOST * job.max_runtime else since + job.grace
    else:
        until = min(late, since + patience)
    return until if until > since else since + job.grace


def retry_limit(job: Job, state: JobState, retry: Retry, settings: Settings) -> float:
    """Return the instant after which *retry* is judged, as it was the last attempt.

    While a later one is under way that has a limit of its own, that is never: it is
    overrunning when it does not end.
    """
    for run in state.open_runs:
        if is_later_attempt(run, retry) and math.isfinite(run_limit(job, run)):
            return math.inf
    if retry.ended_at >= settings.up_since:
        return retry.until
    return max(retry.until, settings.settled_at)


def is_later_attempt(run: OpenRun, retry: Retry) -> bool:
    """Return True if *run* is an attempt that *retry* waits for."""
    return run.run_id == retry.run_id and run.attempt > retry.attempt


def covered_by(job: Job, ended: float, started: float | None) -> float:
    """Return up to which instant a run that ended at *ended* satisfies the slots.

    That is `ended`, or the slot after it when the whole run lies shortly before
    that slot. A long run for the slot before is no early run for the next one.
    """
    if job.schedule is None:
        return ended
    slot = job.schedule.next_after(ended)
    if not math.isfinite(slot):
        return ended
    begun = ended if started is None else min(started, ended)
    if slot - begun > job.early:
        return ended
    return slot if slot - begun <= early_limit(job.schedule, slot, job.early) else ended


def release_at(job: Job, state: JobState) -> float:
    """Return when a job had its chance since the jobs it requires have healed.

    That is its next deadline from then on, with the time that a run under way has;
    +inf when none is expected.
    """
    if not state.upstream_healed_at:
        return math.inf
    since = max(state.upstream_healed_at, state.due_after)
    slot = slot_after(job, since)
    if isinstance(job.schedule, Every):
        # Its slots go by its last run, and not by the moment that is asked about.
        slot -= (since - state.due_after) % job.schedule.period
    return _deadline_of(job, state, slot)


def wake_at(job: Job, state: JobState, settings: Settings) -> float:
    """Return when, without a ping, the next fact about *job* will change."""
    return outlook(job, state, settings)[1]


def outlook(job: Job, state: JobState, settings: Settings) -> tuple[float, float]:
    """Return what `deadline` does, and `wake_at`: both ask for the next slot."""
    late = slot_deadline(job, state, next_slot(job, state), settings)
    missed = late if state.missed_deadline is None else state.missed_deadline
    # Of most jobs nothing else is to be expected.
    wake = min(late, state.ratio_until)
    if state.upstream_healed_at:
        wake = min(wake, release_at(job, state))
    for healed in state.healed:
        wake = min(wake, healed.until)
    for retry in state.retries:
        wake = min(wake, retry_limit(job, state, retry, settings))
    if state.paused_until is not None:
        wake = min(wake, state.paused_until)
    if state.test_until and _holds(state, Condition.TEST):
        wake = min(wake, state.test_until)
    if state.success_until:
        wake = min(wake, state.success_until)
    if state.open_runs and not _holds(state, Condition.OVERRUNNING):
        wake = min(wake, run_deadline(job, state, settings))
    return missed, wake


def _holds(state: JobState, condition: Condition) -> bool:
    return any(alert.key.condition is condition for alert in state.alerts)


def is_quiet(job: Job, state: JobState, at: float, wake: float) -> bool:
    """Return whether `on_clock` has nothing to notice at the instant *at*.

    *wake* is not later than `wake_at` is, for a state that it has seen already.
    False is always right, and the answer for every job that is in trouble.
    """
    return (
        state.last_ping_at <= at < wake
        and max(state.due_after, state.missed_through) <= at + LEAP
        and state.retired_at is None
        and state.configured is job.configured
        and not (state.alerts or state.healed or state.upstream_healed_at)
        and not job.depends_on
        and job.success_ratio is None
    )
