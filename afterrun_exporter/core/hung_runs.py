"""Runs that hang: given up when another run follows, and reported as one alert.

A run past its limit is overrunning. Once another run follows, it counts as timed out,
and the job stays overrunning until a run that followed has ended: only that run shows
if the job works again. Its end resolves the alert or makes the job failing; the timeout
alone does neither.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import duplicates
from afterrun_exporter.core.model import Job, Ping, Run, Settings
from afterrun_exporter.core.run_limits import (
    allowed_silence,
    held_until,
    run_limit,
    silence_limit,
)
from afterrun_exporter.core.state import HungRun, JobState, OpenRun
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.core.units import format_duration

#: Maximum of hung runs to keep of one job: the first, and the last ones.
MAX_HUNG: Final = 20


def with_hung_run(
    job: Job, state: JobState, run: OpenRun, follower: float, *, is_last: bool
) -> JobState:
    """Return *state* with *run* recorded as hung.

    The run that began at *follower* is the reason to give it up. *is_last* is true if
    it was judged, and so counts as the last run of its job.
    """
    limit = run_limit(job, run)
    hung = HungRun(
        run_id=run.run_id,
        attempt=run.attempt,
        started_at=run.started_at,
        deadline=limit,
        # Clocks differ: in any case the run that replaces it has followed it.
        followed_from=min(limit, follower),
        is_last=is_last,
        held_until=held_until(limit, run),
    )
    first, later = state.hung[:1], state.hung[1:]
    return replace(state, hung=(*first, *later[2 - MAX_HUNG :], hung))


def still_hung(
    state: JobState, run: Run, began: float | None, *, again: bool, judged: bool
) -> tuple[HungRun, ...]:
    """Return the runs that still hang after the end of *run*.

    Its start was reported at *began*, if at all. *again* is true for a run that was
    given up before, and *judged* is false for a run that ended before the last judged
    one.
    """
    itself = _hung_as(state, run) if again else None
    if itself is not None:
        began = itself.started_at
    elif again:
        began = -math.inf
    elif began is None:
        began = run.finished_at if run.started_at is None else run.started_at
    return tuple(
        replace(one, is_last=False) if one.is_last and judged else one
        for one in state.hung
        if not (
            one.followed_from <= began and (judged or run.finished_at >= one.deadline)
        )
        and one is not itself
    )


def is_pending(state: JobState) -> bool:
    """Return True if the last judged run hung, and no later one has ended."""
    return any(run.is_last for run in state.hung)


def was_given_up(state: JobState, run: Run | Ping, settings: Settings) -> bool:
    """Return True if *run* was given up before its end was reported.

    Raises OlderRunsNeededError.
    """
    if run.run_id is None:
        return False
    key = duplicates.given_up(duplicates.key_of(run))
    return duplicates.recorded_as(state, key, settings) > 0


def summary(job: Job, state: JobState, overdue: float) -> str:
    """Return the text of an overrunning alert since *overdue*, on an open or hung run."""
    run = min(state.open_runs, key=lambda run: run_limit(job, run), default=None)
    hung = min(state.hung, key=lambda one: one.deadline, default=None)
    if hung and (run is None or hung.deadline <= run_limit(job, run)):
        return (
            f"the run started at {format_time(hung.started_at)} never reported its end, "
            f"due by {format_time(hung.deadline)}; no later run has ended since"
        )
    if run is None or run_limit(job, run) < silence_limit(job, run):
        return f"a run should have finished by {format_time(overdue)}"
    return (
        f"no sign of life since {format_time(run.alive_at)}, expected at least every "
        f"{format_duration(allowed_silence(job, run))}"
    )


def _hung_as(state: JobState, run: Run) -> HungRun | None:
    for one in state.hung:
        if (one.run_id, one.attempt) == (run.run_id, run.attempt):
            return one
    return None
