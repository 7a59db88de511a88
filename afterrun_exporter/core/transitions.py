"""What a ping, the passing of time and a change of configuration do to a job.

Everything here is a pure function of its arguments: to replay a log of pings is
to arrive at the same states, runs and alerts.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from afterrun_exporter.core import alerts, finishes, repeats
from afterrun_exporter.core.deadlines import (
    schedule_text,
    slot_after,
    slot_deadline,
    wake_at,
)
from afterrun_exporter.core.model import Job, Kind, Ping, Run, Settings
from afterrun_exporter.core.state import JobState, LogEntry, OpenRun, Transition
from afterrun_exporter.core.timestamps import format_time

#: Open runs of one job that are kept; jobs that only ever start must not grow.
MAX_OPEN_RUNS: Final = 100

#: Slots counted one by one when the clock has leapt ahead.
MAX_MISSES_AT_ONCE: Final = 1000

#: How far ahead of us what we noted ourselves may be.
LEAP: Final = 3600.0

__all__ = ["on_clock", "on_ping", "on_retired", "registered", "wake_at"]


def registered(job: Job, now: float) -> JobState:
    """Return the state of a job that is known from *now* on.

    A job that never ran is due from this moment.
    """
    return JobState(
        created_at=now,
        configured=job.configured,
        schedule=schedule_text(job),
        due_after=now,
    )


def on_clock(job: Job, state: JobState, now: float, settings: Settings) -> Transition:
    """Notice what became true by *now* without a ping.

    The slot and its deadline stay the reference, not the moment we noticed:
    how often this is called changes nothing but how soon we know.
    """
    caught_up = _count_misses(job, _reconciled(job, state, now), now, settings)
    caught_up, events = alerts.update(job, caught_up, now, settings)
    return Transition(state=caught_up, alerts=events)


def on_retired(state: JobState, now: float) -> Transition:
    """Stop watching a job that left the configuration: its alerts resolve."""
    resolved, events = alerts.resolve_all(state, now)
    return Transition(state=replace(resolved, retired_at=now), alerts=events)


def on_ping(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    """Take one report of *job*; a repeat of an earlier one changes nothing."""
    before = on_clock(job, state, ping.at, settings)
    state = replace(before.state, last_ping_at=ping.at)
    match ping.kind:
        case Kind.START:
            made = _started(job, state, ping, settings)
        case Kind.FINISH:
            made = _finished(job, state, ping, settings)
        case Kind.PROGRESS:
            made = _progressed(state, ping, settings)
        case Kind.LOG:
            made = Transition(state=state, logs=(_entry(ping),))
    judged = made.runs[-1] if made.runs else None
    state, events = alerts.update(
        job,
        made.state,
        ping.at,
        settings,
        # A run that ended before the last one did changes no verdict.
        judged if judged and judged.finished_at >= made.state.last_finish_at else None,
    )
    return replace(made, state=state, alerts=(*before.alerts, *events))


def _started(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    if (repeated := _repeat_of_start(state, ping, settings)) is not None:
        return _duplicate(state, repeated)
    at, warnings = finishes.reported_time(ping.started_at, ping.at, "started_at")
    run = OpenRun(run_id=ping.run_id, attempt=ping.attempt, started_at=at)

    kept: list[OpenRun] = []
    timed_out: list[OpenRun] = []
    logs: list[LogEntry] = []
    for earlier in state.open_runs:
        overdue = job.max_runtime is not None and (
            earlier.started_at + job.max_runtime < ping.at
        )
        # Without ids nobody can tell two runs apart: the new one counts.
        nameless = earlier.run_id is None and ping.run_id is None
        if finishes.is_earlier_attempt(earlier, ping):
            logs.append(_given_up(earlier, ping.at))
        elif overdue:
            timed_out.append(earlier)
        elif nameless:
            logs.append(_given_up(earlier, ping.at))
        else:
            kept.append(earlier)
    while len(kept) >= MAX_OPEN_RUNS:
        logs.append(_given_up(kept.pop(0), ping.at))

    runs: list[Run] = []
    state = replace(
        state,
        open_runs=(*kept, run),
        last_start_at=max(state.last_start_at, at),
        unnamed=(
            state.unnamed
            if ping.run_id is not None
            else repeats.remember_unnamed(state, ping, settings, 0)
        ),
    )
    for late in timed_out:
        state, ended = finishes.time_out(job, state, late, ping.at)
        runs.append(ended)
    if ping.message:
        logs.append(_entry(ping))
    return Transition(
        state=state, runs=tuple(runs), logs=tuple(logs), warnings=warnings
    )


def _finished(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    if (repeated := _repeat_of_finish(state, ping, settings)) is not None:
        return _duplicate(state, repeated)
    state, run, warnings = finishes.finish(job, state, ping, settings)
    if ping.run_id is None:
        unnamed = repeats.remember_unnamed(state, ping, settings, run.number)
        state = replace(state, unnamed=unnamed)
    return Transition(state=state, runs=(run,), run=run, warnings=warnings)


def _progressed(state: JobState, ping: Ping, settings: Settings) -> Transition:
    open_run = finishes.open_run_of(state, ping)
    limit = settings.metrics_per_job
    open_runs = tuple(
        replace(run, metrics=finishes.merged(run.metrics, ping.metrics, limit))
        if run is open_run
        else run
        for run in state.open_runs
    )
    metrics = finishes.merged(state.metrics, ping.metrics, limit)
    return Transition(
        state=replace(state, open_runs=open_runs, metrics=metrics),
        logs=(_entry(ping),) if ping.message else (),
        warnings=() if open_run else ("no run is open: send a start before progress",),
    )


def _repeat_of_start(state: JobState, ping: Ping, settings: Settings) -> int | None:
    if ping.run_id is None:
        earlier = repeats.unnamed_repeat(state, ping, settings)
        return None if earlier is None else earlier.run
    this = (ping.run_id, ping.attempt)
    if any((run.run_id, run.attempt) == this for run in state.open_runs):
        return 0
    return repeats.finished_as(state, *this) or None


def _repeat_of_finish(state: JobState, ping: Ping, settings: Settings) -> int | None:
    if ping.run_id is not None:
        return repeats.finished_as(state, ping.run_id, ping.attempt) or None
    earlier = repeats.unnamed_repeat(state, ping, settings)
    return None if earlier is None else earlier.run


def _duplicate(state: JobState, run: int) -> Transition:
    return Transition(
        state=replace(state, duplicates_total=state.duplicates_total + 1),
        duplicate=True,
        duplicate_of=run,
    )


def _entry(ping: Ping) -> LogEntry:
    return LogEntry(ping.at, ping.run_id, ping.message, ping.metadata)


def _given_up(run: OpenRun, at: float) -> LogEntry:
    began = format_time(run.started_at)
    message = f"the run started at {began} never reported its end"
    return LogEntry(at, run.run_id, message)


def _reconciled(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* on the footing of today's configuration and clock."""
    if state.retired_at is not None:
        state = _revived(state)
    if state.configured is not job.configured:
        state = replace(state, configured=job.configured)
    text = schedule_text(job)
    # A finish counts for a slot that is a little ahead. Anything much later was
    # noted under a clock that has since been set back: trusting it would keep
    # the job quiet until then.
    leapt = max(state.due_after, state.missed_through) > now + max(job.early, LEAP)
    if text != state.schedule or leapt:
        return replace(
            state,
            schedule=text,
            due_after=now,
            missed_through=-math.inf,
            missed_deadline=None,
        )
    return state


def _revived(state: JobState) -> JobState:
    return replace(
        state,
        retired_at=None,
        schedule="",
        missed_deadline=None,
        open_runs=(),
        last_outcome=None,
        consecutive_failures=0,
        violated=(),
    )


def _count_misses(
    job: Job, state: JobState, now: float, settings: Settings
) -> JobState:
    first, through, count = state.missed_deadline, state.missed_through, 0
    if first is not None and slot_after(job, state.due_after) + job.grace >= now:
        # The configuration gives more grace than it did when this was missed.
        first, through = None, -math.inf
    while True:
        slot = slot_after(job, max(state.due_after, through))
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
