"""Deadlines: due slots, and times after which a job is missed or overrunning."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from afterrun_exporter.core import downtimes
from afterrun_exporter.core.model import Condition, Job, Settings
from afterrun_exporter.core.run_limits import (
    CLOSE_BEHIND,
    is_later_attempt,
    next_overrunning,
    run_deadline,
    run_limit,
    time_limit,
    unobserved_runs,
)
from afterrun_exporter.core.schedule import Calendar, Every, early_limit
from afterrun_exporter.core.state import JobState, Retry

#: Separates the times of a schedule from the excluded days.
_EXCEPT: Final = " except "


def schedule_text(job: Job) -> str:
    """Return the schedule of expected slots of *job*; "" without one."""
    if job.foreign_schedule is not None:
        return job.foreign_schedule
    schedule = job.schedule
    if not job.enabled or schedule is None:
        return ""
    if not isinstance(schedule, Calendar):
        return schedule.text
    text = f"{schedule.text} {schedule.zone}"
    return f"{text}{_EXCEPT}{', '.join(schedule.exclude)}" if schedule.exclude else text


def have_same_times(text: str, other: str) -> bool:
    """Return True if two of `schedule_text` differ in excluded days alone."""
    return text.partition(_EXCEPT)[0] == other.partition(_EXCEPT)[0]


def slot_after(job: Job, instant: float) -> float:
    """Return the first slot after *instant*; +inf without one."""
    if not job.enabled or job.schedule is None or job.foreign_schedule is not None:
        return math.inf
    return job.schedule.next_after(instant)


class Unobserved(NamedTuple):
    """Slots whose deadlines passed in a downtime."""

    #: The first slot.
    first: float
    #: The first slot after them.
    following: float
    #: The time at which they are decided if no run was reported for them.
    until: float


class Due(NamedTuple):
    """The slot of a job that is decided next."""

    slot: float
    #: The instant after which the job is missed without a run.
    deadline: float
    #: Slots to be decided as unobserved, or, by `after_downtime`, as missed.
    unobserved: Unobserved | None = None


def decided_until(state: JobState) -> float:
    """Return the instant up to which all slots are covered by runs or counted."""
    return max(state.covered_until, state.missed_through, state.unobserved_through)


def next_slot(job: Job, state: JobState, settings: Settings) -> float:
    """Return the first slot that is not covered, counted as missed, or unobserved."""
    return next_due(job, state, settings).slot


def slot_deadline(job: Job, state: JobState, slot: float) -> float:
    """Return the last instant at which a run for *slot* is not late.

    A run that started in time has its whole `max_runtime`. Heartbeats do not extend it:
    a run that hangs may still send them.
    """
    deadline = slot + job.grace
    for run in state.open_runs:
        if is_in_time(job, state, run.started_at, slot):
            limit = time_limit(job, run)
            deadline = max(deadline, limit if math.isfinite(limit) else -math.inf)
    return deadline


def is_in_time(job: Job, state: JobState, start: float, slot: float) -> bool:
    """Return True if a run that began at *start* is a run for *slot*, and not late.

    The slots of `every` count from the last finish, and timers often from the last
    start: any run that began after that finish is the run for the next slot, however
    early.
    """
    if isinstance(job.schedule, Every):
        # A pause moves the slots; a run that is open meanwhile is not an older run.
        return min(state.due_after, state.last_finish_at) <= start <= slot + job.grace
    return slot - job.early <= start <= slot + job.grace


def next_due(job: Job, state: JobState, settings: Settings) -> Due:
    """Return the slot of *job* that is decided next, with its deadline."""
    return due_from(job, state, decided_until(state), settings)


def due_from(job: Job, state: JobState, instant: float, settings: Settings) -> Due:
    """Return the slot after *instant* that is decided next, with its deadline."""
    slot = slot_after(job, instant)
    deadline = slot_deadline(job, state, slot)
    if deadline > settings.settled_at:
        # The usual case.
        return Due(slot, deadline)
    if not downtimes.is_unobserved(deadline, settings):
        return Due(slot, _late_at(job, state, slot, deadline, settings))
    following = _observed_after(job, state, slot, settings)
    late = slot_deadline(job, state, following)
    late = _late_at(job, state, following, late, settings)
    until = min(downtimes.patience(job, settings), late)
    unobserved = Unobserved(slot, following, until)
    if job.after_downtime is None:
        return Due(following, late, unobserved)
    return Due(slot, until, unobserved)


def _late_at(
    job: Job, state: JobState, slot: float, deadline: float, settings: Settings
) -> float:
    """Return the instant after which *slot*, due by *deadline*, is missed.

    It may be held back, at most until the first slot after the downtime.
    """
    late = downtimes.held_back(slot, deadline, settings)
    if late == deadline:
        return deadline
    following = slot
    while following <= settings.up_since:
        following = slot_after(job, following)
    return min(late, slot_deadline(job, state, following))


def _observed_after(
    job: Job, state: JobState, slot: float, settings: Settings
) -> float:
    """Return the first slot after *slot* that is due after the downtime."""
    if isinstance(job.schedule, Every):
        # The times of later runs are unknown.
        return settings.up_since + job.schedule.period
    first = slot_after(job, max(slot, settings.up_since - job.grace))
    for run in state.open_runs:
        earliest = math.nextafter(run.started_at - job.grace, -math.inf)
        started_for = slot_after(job, max(slot, earliest))
        if slot_deadline(job, state, started_for) > settings.up_since:
            first = min(first, started_for)
    return first


def deadline(job: Job, state: JobState, settings: Settings) -> float:
    """Return the instant after which *job* is missed; +inf for never.

    After a miss it stays the same until the job runs: moving it on would silence the
    alert.
    """
    if state.missed_deadline is not None:
        return state.missed_deadline
    return next_due(job, state, settings).deadline


def missed_slot(job: Job, state: JobState) -> float:
    """Return the first slot that *job* has missed since its last run; 0 for none."""
    if state.missed_deadline is None:
        return 0.0
    slot = state.missed_deadline - job.grace
    if isinstance(job.schedule, Calendar):
        before = math.nextafter(slot, -math.inf)
        if job.schedule.next_after(before) != slot:
            # An open run moved the deadline, or grace or excluded days have changed.
            return job.schedule.next_after(state.covered_until)
    return slot


def retry_limit(job: Job, state: JobState, retry: Retry, settings: Settings) -> float:
    """Return the instant after which *retry* counts as the last attempt of its run.

    Never, while a later attempt is open that has its own limit: it is overrunning if it
    does not end.
    """
    for run in state.open_runs:
        if is_later_attempt(run, retry) and math.isfinite(run_limit(job, run)):
            return math.inf
    if retry.ended_at >= settings.up_since:
        return retry.until
    if downtimes.is_unobserved(retry.until, settings):
        return downtimes.patience(job, settings)
    return downtimes.held_back(retry.ended_at, retry.until, settings)


def covered_by(job: Job, end: float, start: float | None) -> float:
    """Return the instant up to which a run that ended at *end* covers the slots.

    That is *end*, or the slot after it if the whole run is shortly before that slot. A
    long run for the previous slot is not an early run for the next one.
    """
    if job.schedule is None or job.foreign_schedule is not None:
        return end
    slot = job.schedule.next_after(end)
    if not math.isfinite(slot):
        return end
    earliest = end if start is None else min(start, end)
    if slot - earliest > job.early:
        return end
    return (
        slot if slot - earliest <= early_limit(job.schedule, slot, job.early) else end
    )


def release_at(job: Job, state: JobState, settings: Settings) -> float:
    """Return the end of a job's chance to run after its required jobs recovered.

    That is its next deadline, extended for an open run, and after a downtime if its run
    may have been in it; +inf if none is expected.
    """
    since = max(state.upstream_healed_at, state.due_after)
    if isinstance(job.schedule, Every):
        # Its slots count from its last run, not from the given instant.
        since -= (since - state.due_after) % job.schedule.period
    return due_from(job, state, since, settings).deadline


def wake_at(job: Job, state: JobState, settings: Settings) -> float:
    """Return the time of the next change of *job* without a ping."""
    return outlook(job, state, settings)[1]


def outlook(job: Job, state: JobState, settings: Settings) -> tuple[float, float]:
    """Return `deadline` and `wake_at`, which share a computation."""
    due = next_due(job, state, settings)
    missed = due.deadline if state.missed_deadline is None else state.missed_deadline
    # Most jobs have nothing else to wait for.
    wake = min(due.deadline, state.ratio_until)
    if due.unobserved is not None:
        wake = min(wake, due.unobserved.until)
    if state.upstream_healed_at:
        wake = min(wake, release_at(job, state, settings))
    for healed in state.healed:
        wake = min(wake, healed.until)
    if state.paused_until is not None:
        wake = min(wake, state.paused_until)
    if state.test_until and _holds(state, Condition.TEST):
        wake = min(wake, state.test_until)
    if state.success_until:
        wake = min(wake, state.success_until)
    if state.open_runs or state.retries:
        wake = min(wake, _under_way_until(job, state, settings))
    return missed, wake


def _under_way_until(job: Job, state: JobState, settings: Settings) -> float:
    """Return the time of the next change of open runs without a ping."""
    wake = math.inf
    for retry in state.retries:
        wake = min(wake, retry_limit(job, state, retry, settings))
    if not _holds(state, Condition.OVERRUNNING):
        wake = min(wake, run_deadline(job, state, settings))
    wake = min(wake, next_overrunning(job, state, settings))
    if unobserved_runs(job, state, settings):
        wake = min(wake, settings.settled_at)
    if job.concurrency is not None:
        for run in state.open_runs:
            if run.reported_at:
                # From then on the run may overlap.
                wake = min(wake, run.reported_at + CLOSE_BEHIND)
    return wake


def _holds(state: JobState, condition: Condition) -> bool:
    return any(alert.key.condition is condition for alert in state.alerts)


def is_unchanged(job: Job, state: JobState, at: float, wake: float) -> bool:
    """Return True if `on_clock` changes nothing at the instant *at*.

    *wake* is at most `wake_at` of a state that was checked already. False is always
    correct, and the result for every job with a problem.
    """
    return (
        state.last_ping_at <= at < wake
        and decided_until(state) <= at
        and state.retired_at is None
        and not state.paused_for
        and state.configured is job.configured
        and not (state.alerts or state.healed or state.upstream_healed_at)
        and not job.depends_on
        and job.success_ratio is None
    )
