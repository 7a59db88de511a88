"""Transitions of a job by a ping, by the passing of time and by a new configuration.

Everything here is a pure function of its arguments: replaying a log of pings gives the
same states, runs and alerts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from afterrun_exporter.core import (
    alerts,
    attempts,
    clock_setbacks,
    duplicates,
    finishes,
    history,
    loaded_runs,
    metadata,
    misses,
    open_runs,
    overlaps,
    progress,
    push_outcomes,
    run_limits,
    run_times,
    upstream,
)
from afterrun_exporter.core.deadlines import schedule_text
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Run, Settings
from afterrun_exporter.core.run_limits import is_overdue
from afterrun_exporter.core.state import JobState, LogEntry, OpenRun, Transition
from afterrun_exporter.core.upstream import Required


def registered(job: Job, now: float) -> JobState:
    """Return the state of a new job.

    A job that never ran is due from *now* on.
    """
    return JobState(
        created_at=now,
        configured=job.configured,
        schedule=schedule_text(job),
        due_after=now,
    )


def on_clock(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    required: Sequence[Required] = (),
) -> Transition:
    """Update *state* with everything that became true by *now* without a ping.

    Times refer to the slot and its deadline, not to the time of this call: more
    frequent calls change nothing else than how soon changes are noticed. *required* has
    the required jobs of this one.
    """
    right = clock_setbacks.put_back(job, state, now, settings)
    moved = clock_setbacks.moved(state.alerts, right.alerts)
    updated = misses.reconciled(job, right, now)
    runs: tuple[Run, ...] = ()
    judged: Run | None = None
    if updated.retries:
        updated, runs = _with_last_attempts(job, updated, now, settings)
        judged = _newest(runs, updated.last_finish_at)
        updated = history.with_runs(job, updated, runs, now, settings)
    updated, logs = misses.with_decided_slots(job, updated, now, settings)
    updated = _with_surroundings(job, updated, now, settings, required)
    updated, events = alerts.update(job, updated, now, settings, judged)
    updated = _with_open_runs(job, updated, now, settings)
    events = (*moved, *events) if moved else events
    return Transition(state=updated, runs=runs, alerts=events, logs=logs)


def with_history(
    job: Job, state: JobState, packed: bytes, now: float, settings: Settings
) -> JobState:
    """Return *state* with the *packed* history for the windows of *job*."""
    joined = history.joined(job, packed, state, now, settings)
    return replace(state, history=joined)


def on_retired(state: JobState, now: float) -> Transition:
    """Stop watching a job that was removed: its alerts are resolved.

    If it returns, it is neither paused nor has it settings from a client.
    """
    resolved, events = alerts.resolve_all(state, now)
    retired = replace(
        resolved,
        retired_at=now,
        paused_at=0.0,
        paused_until=None,
        paused_for=0.0,
        resumes_on_ping=False,
        client_settings="",
        unusable="",
        lacks_schedule=False,
        marks={},
    )
    return Transition(state=retired, alerts=events)


def on_ping(
    job: Job,
    state: JobState,
    ping: Ping,
    settings: Settings,
    required: Sequence[Required] = (),
    *,
    quiet: bool = False,
) -> Transition:
    """Apply one report of *job*; a repeat of an earlier one changes nothing.

    *required* has the required jobs of this one; *quiet* must be true only if
    `is_unchanged` returned True.
    """
    before: Transition | None = None
    if not quiet:
        before = on_clock(job, state, ping.at, settings, required)
        state = before.state
    if ping.push is not None:
        judged_push = push_outcomes.with_outcome(job, state, ping, ping.push)
        if judged_push is None:
            return before or Transition(state=state)
        ping = judged_push
    if ping.history:
        transition = loaded_runs.with_past_run(job, state, ping, settings)
        state = history.with_runs(
            job, transition.state, transition.runs, ping.at, settings
        )
        state = loaded_runs.with_ratio(job, state, ping.at)
        return replace(transition, state=state).after(before)
    transition = _on_report(job, state, ping, settings)
    if ping.push is not None and not transition.duplicate:
        memory = push_outcomes.with_marks(transition.state, state, ping.push, ping.at)
        transition = replace(transition, state=memory)
    judged = _newest(transition.runs, transition.state.last_finish_at)
    state = history.with_runs(job, transition.state, transition.runs, ping.at, settings)
    if state.announces_success and judged and judged.outcome is Outcome.OK:
        state = replace(state, success_until=ping.at + settings.min_visible)
    state, events = alerts.update(
        job,
        _with_surroundings(job, state, ping.at, settings, required),
        ping.at,
        settings,
        judged,
    )
    state = _with_open_runs(job, state, ping.at, settings)
    if not (state is transition.state and not (events or required)):
        warnings = transition.warnings
        if required:
            warnings = (*warnings, *_upstream_warnings(ping, transition, required))
        transition = replace(transition, state=state, alerts=events, warnings=warnings)
    return transition.after(before)


def _newest(runs: Sequence[Run], last_finish_at: float) -> Run | None:
    """Return the last of *runs* that was judged, if its end is the latest."""
    for run in reversed(runs):
        if run.max_attempts is None or not run.is_retried:
            # A run that ended before the last one changes no status.
            return run if run.finished_at >= last_finish_at else None
    return None


def _with_last_attempts(
    job: Job, state: JobState, now: float, settings: Settings
) -> tuple[JobState, tuple[Run, ...]]:
    """Return *state* after the end of the wait for next attempts by *now*, and the runs."""
    runs: list[Run] = []
    while (retry := attempts.next_due(job, state, now, settings)) is not None:
        state, run = finishes.judge_last_attempt(job, state, retry, now, settings)
        runs.append(run)
    return state, tuple(runs)


def _on_report(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    match ping.kind:
        case Kind.FINISH:
            return _on_finish(job, state, ping, settings)
        case Kind.START:
            return _on_start(job, state, ping, settings)
        case Kind.PROGRESS if ping.push is not None:
            transition = _pushed_progress(job, state, ping, settings)
        case Kind.PROGRESS:
            transition = _on_progress(job, state, ping, settings)
        case Kind.LOG:  # pragma: no branch - the last kind
            transition = progress.with_log(job, state, ping)
    if transition.duplicate or transition.state.unnamed_seen is not state.unnamed_seen:
        return transition
    unnamed = duplicates.remember_unnamed(state, ping, settings)
    return (
        replace(transition, state=replace(transition.state, unnamed_seen=unnamed))
        if unnamed
        else transition
    )


def _on_start(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    if attempts.may_have_attempts(job, state):
        ping = attempts.with_attempt(job, state, ping, None, settings)
    if (repeated := duplicates.start_of(state, ping, settings)) is not None:
        if ping.keeps_alive and not repeated:
            return progress.with_heartbeat(state, ping)
        return _duplicate(state, ping, repeated)
    at, warnings = run_times.reported_time(ping.started_at, ping.at, "started_at")
    about, left_out = metadata.bounded(ping.metadata)
    run = OpenRun(
        run_id=ping.run_id,
        attempt=ping.attempt,
        started_at=at,
        group=overlaps.group_of(job, ping),
        metadata=about,
        max_attempts=ping.max_attempts,
        # The silence of a run that announces heartbeats begins with its start.
        alive_at=ping.at if ping.heartbeat else 0.0,
        heartbeat=ping.heartbeat or 0.0,
        max_runtime=ping.max_runtime or 0.0,
        reported_at=ping.at if at < ping.at else 0.0,
    )
    warnings = (*warnings, *progress.heartbeat_warnings(job, ping))

    state, entries = misses.with_another_run(job, state, ping.at, settings)
    others = open_runs.at_start(job, state, ping, settings)
    logs = [*others.logs, *entries]
    runs: list[Run] = []
    if state.retries:
        state = attempts.without(state, others.timed_out)
        state, runs = _with_attempt(job, state, run, ping, settings)
    state = replace(
        state,
        last_ping_at=ping.at,
        open_runs=(*others.still_open, run),
        last_start_at=max(state.last_start_at, at),
        unnamed_seen=duplicates.remember_unnamed(state, ping, settings),
    )
    state = open_runs.with_replaced(job, state, others.superseded, at)
    for run_past_limit in others.timed_out:
        state, timed_out_run = finishes.time_out(
            job, state, run_past_limit, at, ping, settings
        )
        runs.append(timed_out_run)
    if ping.message:
        logs.append(progress.log_entry(ping))
    return Transition(
        state=state,
        runs=tuple(runs),
        logs=tuple(logs),
        warnings=(*warnings, *left_out),
    )


def _with_attempt(
    job: Job, state: JobState, run: OpenRun, ping: Ping, settings: Settings
) -> tuple[JobState, list[Run]]:
    """Return *state* after the start of the attempt *run*, and runs that end by it."""
    if (retry := attempts.overtaken(state, ping, None)) is not None:
        state, concluded = finishes.judge_last_attempt(
            job, state, retry, ping.at, settings
        )
        return state, [concluded]
    return attempts.with_next_attempt(job, state, run, ping), []


def _on_progress(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> Transition:
    if number := duplicates.progress_of(state, ping, settings):
        return _duplicate(state, ping, number)
    return progress.with_progress(job, state, ping, settings)


def _on_finish(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    if attempts.may_have_attempts(job, state):
        open_run = finishes.open_run_of(state, ping)
        ping = attempts.with_attempt(job, state, ping, open_run, settings)
    if (repeated := duplicates.finish_of(state, ping, settings)) is not None:
        return _duplicate(state, ping, repeated)
    runs: tuple[Run, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    if open_runs.has_others(state, ping):
        state, runs, logs = _without_ended_runs(job, state, ping, settings)
    if state.retries:
        open_run = finishes.open_run_of(state, ping)
        if (retry := attempts.overtaken(state, ping, open_run)) is not None:
            state, concluded = finishes.judge_last_attempt(
                job, state, retry, ping.at, settings
            )
            runs = (*runs, concluded)
    state, run, warnings = finishes.finish(job, state, ping, settings)
    if ping.run_id is None or state.unnamed_seen:
        unnamed = duplicates.remember_unnamed(state, ping, settings, run.number)
        state = replace(state, unnamed_seen=unnamed)
    return Transition(
        state=state, runs=(*runs, run), run=run, warnings=warnings, logs=logs
    )


def _without_ended_runs(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> tuple[JobState, tuple[Run, ...], tuple[LogEntry, ...]]:
    """Return *state* without the open runs that are over when *ping* ends another one.

    Also the runs that have timed out, and log entries about the others.
    """
    others, began = open_runs.at_finish(job, state, ping, settings)
    if len(others.still_open) == len(state.open_runs):
        return state, (), ()
    state = replace(state, open_runs=tuple(others.still_open))
    if state.retries:
        state = attempts.without(state, others.timed_out)
    runs: list[Run] = []
    for run in others.timed_out:
        state, timed_out_run = finishes.time_out(job, state, run, began, ping, settings)
        runs.append(timed_out_run)
    return state, tuple(runs), tuple(others.logs)


def _pushed_progress(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> Transition:
    """Record the progress of a push; the first one starts the run."""
    if repeated := duplicates.finish_of(state, ping, settings):
        return _duplicate(state, ping, repeated)
    transition = Transition(state=state)
    open_run = finishes.open_run_of(state, ping)
    if open_run is None or is_overdue(job, open_run, ping.at, settings):
        # Never a repeat: progress without a run id has none.
        transition = _on_start(job, state, ping, settings)
    after = progress.with_progress(job, transition.state, ping, settings)
    return replace(transition, state=after.state)


def _with_surroundings(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    required: Sequence[Required],
) -> JobState:
    """Return *state* updated for the time and for other jobs."""
    if job.slower_than is None and state.slow:
        # A later configuration of it must not refer to an old run.
        state = replace(state, slow=False, slow_threshold=None)
    if job.success_ratio is not None or state.success_ratio is not None:
        state = history.with_ratio(job, state, now)
    if state.open_runs:
        state = overlaps.with_overlaps(job, state, now, settings)
    if state.success_until and state.success_until <= now:
        state = replace(state, success_until=0.0)
    if required or upstream.held_back(state):
        troubled = partial(alerts.is_troubled, job, state, now, settings)
        state = upstream.reconciled(job, state, required, now, settings, troubled)
    return state


def _with_open_runs(
    job: Job, state: JobState, now: float, settings: Settings
) -> JobState:
    """Return *state* with its open runs updated for *now*."""
    if not state.open_runs:
        return state
    return overlaps.without_late_starts(
        job, run_limits.with_overrunning(job, state, now, settings), now
    )


def _upstream_warnings(
    ping: Ping, transition: Transition, required: Sequence[Required]
) -> Iterator[str]:
    if ping.kind in {Kind.START, Kind.FINISH} and not transition.duplicate:
        for one in required:
            if one.trouble:
                yield f"this job requires {one.job!r}: {one.trouble}"


def _duplicate(state: JobState, ping: Ping, run: int) -> Transition:
    again = state.duplicates_total + 1
    return Transition(
        state=replace(state, last_ping_at=ping.at, duplicates_total=again),
        duplicate=True,
        duplicate_of=run,
    )
