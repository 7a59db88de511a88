"""Which slots have passed without a run, by today's configuration and clock."""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.deadlines import (
    LEAP,
    schedule_text,
    slot_after,
    slot_deadline,
)
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.state import JobState

#: Slots counted one by one when the clock has leapt ahead.
MAX_MISSES_AT_ONCE: Final = 1000


def reconciled(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* on the footing of today's configuration and clock."""
    if state.retired_at is not None:
        state = _revived(state, now)
    if state.configured is not job.configured:
        state = replace(state, configured=job.configured)
    if (state.watched_since is None) is job.enabled:
        state = replace(state, watched_since=now if job.enabled else None)
    text = schedule_text(job)
    # A finish counts for a slot that is a little ahead. Anything much later was
    # noted under a clock that has since been set back: trusting it would keep
    # the job quiet until then.
    leapt = max(state.due_after, state.missed_through) > now + max(job.early, LEAP)
    if text != state.schedule or leapt:
        # A run shortly before its slot counts for it, also while the job was paused.
        is_early = now < state.due_after <= now + job.early
        return replace(
            state,
            schedule=text,
            due_after=state.due_after if is_early else now,
            missed_through=0.0,
            missed_deadline=None,
        )
    return state


def _revived(state: JobState, now: float) -> JobState:
    return replace(
        state,
        watched_since=now,
        retired_at=None,
        schedule="",
        missed_deadline=None,
        open_runs=(),
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


def made_up_for(job: Job, state: JobState, now: float, settings: Settings) -> JobState:
    """Return *state* with no slot missed for which a run has come after all.

    A report that comes late may leave later slots without a run: the job is missed as
    before. The slots of `every` go by that run from then on, and take the place of the
    ones that are counted already.
    """
    first, through = slot_after(job, state.due_after), state.missed_through
    if isinstance(job.schedule, Every) and math.isfinite(first):
        period = job.schedule.period
        passed = (through - state.due_after) // period
        through = state.due_after + max(0.0, passed) * period
        while slot_deadline(job, state, through + period, settings) < now:
            through += period
    # One that may come this very moment is missed in the next one: no alert in between.
    is_missed = first <= through or slot_deadline(job, state, first, settings) <= now
    if math.isfinite(first) and is_missed:
        return replace(state, missed_deadline=first + job.grace, missed_through=through)
    return replace(state, missed_deadline=None, missed_through=0.0)


def counted(job: Job, state: JobState, now: float, settings: Settings) -> JobState:
    """Return *state* with the slots counted whose deadline has passed by *now*."""
    first, through, count = state.missed_deadline, state.missed_through, 0
    if first is not None and slot_after(job, state.due_after) + job.grace > now:
        # The configuration gives more grace than it did when this was missed.
        first, through = None, 0.0
    while True:
        slot = slot_after(job, max(state.covered_until, through))
        due = slot_deadline(job, state, slot, settings)
        if not due < now:
            break
        first = due if first is None else first
        through = max(slot, settings.settled_at - job.grace)
        count += 1
        if count == MAX_MISSES_AT_ONCE:
            through = max(through, now - job.grace)
    if count == 0 and first is state.missed_deadline:
        return state
    return replace(
        state,
        missed_deadline=first,
        missed_through=through,
        missed_total=state.missed_total + count,
    )
