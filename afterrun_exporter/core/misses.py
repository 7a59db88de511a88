"""Missed and unobserved slots, by the present configuration and clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.deadlines import (
    Due,
    Unobserved,
    due_from,
    have_same_times,
    schedule_text,
    slot_after,
)
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.run_limits import time_limit, unobserved_runs
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.state import JobState, LogEntry, OpenRun, UnobservedSlots
from afterrun_exporter.core.timestamps import format_time

#: Maximum of slots to count one by one when the clock has leapt ahead.
MAX_MISSES_AT_ONCE: Final = 1000


def reconciled(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* adapted to the present configuration and clock."""
    if state.retired_at is not None:
        state = _revived(state, now)
    if state.configured is not job.configured:
        state = replace(state, configured=job.configured)
    if (state.watched_since is None) is job.enabled:
        state = replace(state, watched_since=now if job.enabled else None)
    text = schedule_text(job)
    if text != state.schedule:
        if have_same_times(text, state.schedule):
            return _with_other_exclusions(job, state, now, text)
        # A run shortly before its slot covers it, even if the job was paused.
        is_early = now < state.due_after <= now + job.early
        return replace(
            state,
            schedule=text,
            due_after=state.due_after if is_early else now,
            missed_through=0.0,
            missed_deadline=None,
            unobserved_through=0.0,
            unobserved=None,
        )
    return state


def _with_other_exclusions(
    job: Job, state: JobState, now: float, text: str
) -> JobState:
    """Return *state* for a schedule whose excluded days have changed.

    Slots of the past that are no longer excluded do not count, and a missed slot stays
    missed, unless its day is excluded now.
    """
    decided = now - job.grace
    if state.missed_deadline is None:
        return replace(state, schedule=text, due_after=max(state.due_after, decided))
    through = max(state.missed_through, decided)
    return replace(state, schedule=text, missed_through=through)


def _revived(state: JobState, now: float) -> JobState:
    return replace(
        state,
        watched_since=now,
        retired_at=None,
        schedule="",
        missed_deadline=None,
        unobserved=None,
        open_runs=(),
        hung=(),
        retries=(),
        last_outcome=None,
        consecutive_failures=0,
        timed_out=False,
        recovering=0,
        failing=False,
        violated=(),
        slow=False,
        slow_threshold=None,
        upstream=(),
        upstream_healed_at=0.0,
        test_until=0.0,
        test_severity="",
        success_until=0.0,
    )


def with_late_run(
    job: Job, state: JobState, now: float, settings: Settings
) -> JobState:
    """Return *state* without missed slots for which a run has come after all.

    A late report may leave later slots without a run: the job stays missed. The slots
    of `every` count from that run from then on, and replace the ones counted before. A
    run that waits for its next attempt counts, too.
    """
    covered = state.covered_until
    first, through = slot_after(job, covered), state.missed_through
    unobserved = state.unobserved_through
    if isinstance(job.schedule, Every) and math.isfinite(first):
        period = job.schedule.period
        # After a downtime, some of them may have deadlines in the future.
        passed = (min(through, now - job.grace) - covered) // period
        through = covered + max(0.0, passed) * period
        due = due_from(job, state, max(through, unobserved), settings)
        while _ends_missed(job, due) and due.deadline < now:
            through = due.slot
            if due.unobserved is not None:
                through, _ = _unobserved(job, due.unobserved, settings)
            due = due_from(job, state, through, settings)
    due = due_from(job, state, max(covered, unobserved), settings)
    # If a run may still come this very second, the next second decides: no short alert.
    is_missed = _ends_missed(job, due) and due.deadline <= now
    is_missed = is_missed or first <= through
    if math.isfinite(first) and is_missed:
        return replace(state, missed_deadline=first + job.grace, missed_through=through)
    return replace(state, missed_deadline=None, missed_through=0.0)


def _ends_missed(job: Job, due: Due) -> bool:
    """Return True if the slots of *due* will be decided as missed."""
    return due.unobserved is None or job.after_downtime is not None


def with_due_slots(
    job: Job, state: JobState, now: float, settings: Settings, *, at_once: bool = False
) -> tuple[JobState, tuple[LogEntry, ...]]:
    """Return *state* with the slots counted that are due by *now*, and log entries.

    A slot is missed once its deadline has passed, or unobserved if that was in a
    downtime. Unobserved slots wait for reports, unless *at_once*.
    """
    first, through, missed = state.missed_deadline, state.missed_through, 0
    unobserved, covered = state.unobserved_through, state.covered_until
    new_slots: list[UnobservedSlots] = []
    logs: list[LogEntry] = []
    if (
        first is not None
        and now < slot_after(job, state.due_after) + job.grace < math.inf
    ):
        # The configuration now gives more grace than when this was missed.
        first, through = None, 0.0
    for turn in count(1):  # pragma: no branch - until break
        due = due_from(job, state, max(covered, through, unobserved), settings)
        if due.unobserved is None:
            if not due.deadline < now:
                break
            first = due.deadline if first is None else first
            through = due.slot
            missed += 1
            if turn == MAX_MISSES_AT_ONCE:
                through = max(through, now - job.grace)
        elif not (due.unobserved.until < now or at_once):
            break
        elif job.after_downtime is None:
            unobserved, slots = _unobserved(job, due.unobserved, settings)
            new_slots.append(slots)
            logs.append(_entry(slots, due.unobserved.until))
        else:
            first = due.unobserved.until if first is None else first
            through, slots = _unobserved(job, due.unobserved, settings)
            missed += slots.count
    if not (missed or new_slots) and first is state.missed_deadline:
        return state, ()
    becomes_missed = first is not None and state.missed_deadline is None
    return replace(
        state,
        # A run for an unobserved slot does not cover a later miss.
        due_after=max(state.due_after, unobserved)
        if becomes_missed
        else state.due_after,
        missed_deadline=first,
        missed_through=through,
        missed_total=state.missed_total + missed,
        unobserved_through=unobserved,
        unobserved=_joined(state.unobserved, new_slots) if first is None else None,
        unobserved_total=state.unobserved_total
        + sum(slots.count for slots in new_slots),
    ), tuple(logs)


def _unobserved(
    job: Job, group: Unobserved, settings: Settings
) -> tuple[float, UnobservedSlots]:
    """Return the instant up to which the slots of *group* are counted, and the slots."""
    before = math.nextafter(group.following, -math.inf)
    until = min(settings.up_since - job.grace, before)
    number, last = 1, group.first
    if job.schedule is not None:  # pragma: no branch - it has slots
        number, last = job.schedule.between(group.first, until)
    slots = UnobservedSlots(
        count=number,
        first=group.first,
        last=last,
        down_since=max(settings.down_since, 0.0),
        up_since=settings.up_since,
    )
    return settings.up_since if isinstance(job.schedule, Every) else last, slots


def _joined(
    before: UnobservedSlots | None, new_slots: Sequence[UnobservedSlots]
) -> UnobservedSlots | None:
    groups = new_slots if before is None else [before, *new_slots]
    if not groups:
        return None
    number = sum(slots.count for slots in groups)
    return replace(groups[-1], count=number, first=groups[0].first)


def _entry(slots: UnobservedSlots, at: float) -> LogEntry:
    when = f"the slot of {format_time(slots.first)} is"
    if slots.count > 1:
        period = f"from {format_time(slots.first)} to {format_time(slots.last)}"
        when = f"{plural(slots.count, 'slot')} {period} are"
    message = f"{when} unobserved: no report could arrive {format_downtime(slots)}"
    return LogEntry(at, None, message)


def format_downtime(slots: UnobservedSlots) -> str:
    """Return the period of the downtime in which *slots* were due."""
    up_since = format_time(slots.up_since)
    if not slots.down_since:
        return f"until {up_since}"
    return f"from {format_time(slots.down_since)} to {up_since}"


def with_report(job: Job, state: JobState, end: float) -> JobState:
    """Return *state* after the report of a run that ended at *end*.

    Unobserved slots before a covered one are no longer the latest fact about the job.
    """
    slot = slot_after(job, state.covered_until)
    if (slots := state.unobserved) is None:
        # The slots of `every` count from the last run, even if reported late.
        due = slot + job.grace
        is_moved = isinstance(job.schedule, Every) and due > state.unobserved_through
        return replace(state, unobserved_through=0.0) if is_moved else state
    if slot + job.grace > slots.up_since:
        return replace(state, unobserved=None, unobserved_through=0.0)
    if end >= slots.up_since:
        return replace(state, unobserved=None)
    if slot <= slots.first or job.schedule is None:
        return state
    number, last = job.schedule.between(slot, slots.up_since - job.grace)
    return replace(
        state, unobserved=replace(slots, count=number, first=slot, last=last)
    )


def with_decided_slots(
    job: Job, state: JobState, now: float, settings: Settings
) -> tuple[JobState, tuple[LogEntry, ...]]:
    """Return *state* with everything decided by *now*, and log entries.

    An open run is given up if it must have ended in the downtime, and was not reported
    since.
    """
    state, logs = with_due_slots(job, state, now, settings)
    if not (state.open_runs and settings.settled_at < now):
        return state, logs
    if not (unobserved := unobserved_runs(job, state, settings)):
        return state, logs
    rest = tuple(run for run in state.open_runs if run not in unobserved)
    entries = (_run_entry(job, run, settings) for run in unobserved)
    return replace(state, open_runs=rest), (*logs, *entries)


def with_another_run(
    job: Job, state: JobState, now: float, settings: Settings
) -> tuple[JobState, tuple[LogEntry, ...]]:
    """Return *state* before another run starts, and log entries.

    The run may replace one whose end is unobserved, together with its slot.
    """
    if not state.open_runs or not unobserved_runs(job, state, settings):
        return state, ()
    return with_due_slots(job, state, now, settings, at_once=True)


def _run_entry(job: Job, run: OpenRun, settings: Settings) -> LogEntry:
    message = (
        f"the run started at {format_time(run.started_at)} was given up: it had to end "
        f"by {format_time(time_limit(job, run))}, when no report could arrive"
    )
    return LogEntry(settings.settled_at, run.run_id, message, run.metadata)
