"""What a ping, the passing of time and a change of configuration do to a job.

Everything here is a pure function of its arguments: to replay a log of pings is
to arrive at the same states, runs and alerts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from afterrun_exporter.core import (
    alerts,
    attempts,
    clock_setbacks,
    finishes,
    history,
    loading,
    metadata,
    misses,
    open_runs,
    overlaps,
    progress,
    pushes,
    repeats,
    run_limits,
    spans,
    upstream,
)
from afterrun_exporter.core.deadlines import schedule_text
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Run, Settings
from afterrun_exporter.core.run_limits import is_overdue
from afterrun_exporter.core.state import JobState, LogEntry, OpenRun, Transition
from afterrun_exporter.core.upstream import Required


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


def on_clock(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    required: Sequence[Required] = (),
) -> Transition:
    """Notice what became true by *now* without a ping.

    The slot and its deadline stay the reference, not the moment we noticed:
    how often this is called changes nothing but how soon we know. *required* is
    how the jobs are doing that this one requires.
    """
    right = clock_setbacks.put_back(job, state, now, settings)
    moved = clock_setbacks.moved(state.alerts, right.alerts)
    caught_up = misses.reconciled(job, right, now)
    runs: tuple[Run, ...] = ()
    judged: Run | None = None
    if caught_up.retries:
        caught_up, runs = _given_no_more_attempts(job, caught_up, now, settings)
        judged = _newest(runs, caught_up.last_finish_at)
        caught_up = history.with_runs(job, caught_up, runs, now, settings)
    caught_up, logs = misses.with_decided_slots(job, caught_up, now, settings)
    caught_up = _surroundings(job, caught_up, now, settings, required)
    caught_up, events = alerts.update(job, caught_up, now, settings, judged)
    caught_up = _looked_at(job, caught_up, now, settings)
    events = (*moved, *events) if moved else events
    return Transition(state=caught_up, runs=runs, alerts=events, logs=logs)


def recalled(
    job: Job, state: JobState, stored: bytes, now: float, settings: Settings
) -> JobState:
    """Return *state* with the *stored* history that the windows of *job* look at."""
    known = history.joined(job, stored, state, now, settings)
    return replace(state, history=known)


def on_retired(state: JobState, now: float) -> Transition:
    """Stop watching a job that left, or was removed: its alerts resolve.

    Should it come back, it is neither paused nor what a client had said of it.
    """
    resolved, events = alerts.resolve_all(state, now)
    retired = replace(
        resolved,
        retired_at=now,
        paused_at=0.0,
        paused_until=None,
        paused_for=0.0,
        resumes_on_ping=False,
        said="",
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
    """Take one report of *job*; a repeat of an earlier one changes nothing.

    *required* is how the jobs are doing that this one requires; *quiet* is known to
    be true where `is_unchanged` said so.
    """
    before: Transition | None = None
    if not quiet:
        before = on_clock(job, state, ping.at, settings, required)
        state = before.state
    if ping.push is not None:
        judged_push = pushes.judged(job, state, ping, ping.push)
        if judged_push is None:
            return before or Transition(state=state)
        ping = judged_push
    if ping.history:
        made = loading.with_past_run(job, state, ping, settings)
        state = history.with_runs(job, made.state, made.runs, ping.at, settings)
        state = loading.with_ratio(job, state, ping.at)
        return replace(made, state=state).after(before)
    made = _taken(job, state, ping, settings)
    if ping.push is not None and not made.duplicate:
        memory = pushes.remembered(made.state, state, ping.push, ping.at)
        made = replace(made, state=memory)
    judged = _newest(made.runs, made.state.last_finish_at)
    state = history.with_runs(job, made.state, made.runs, ping.at, settings)
    if state.announces_success and judged and judged.outcome is Outcome.OK:
        state = replace(state, success_until=ping.at + settings.min_visible)
    state, events = alerts.update(
        job,
        _surroundings(job, state, ping.at, settings, required),
        ping.at,
        settings,
        judged,
    )
    state = _looked_at(job, state, ping.at, settings)
    if not (state is made.state and not (events or required)):
        warnings = made.warnings
        if required:
            warnings = (*warnings, *_upstream_warnings(ping, made, required))
        made = replace(made, state=state, alerts=events, warnings=warnings)
    return made.after(before)


def _newest(runs: Sequence[Run], last_finish_at: float) -> Run | None:
    """Return the last of *runs* that was judged, if it ended last, too."""
    for run in reversed(runs):
        if run.max_attempts is None or not run.is_retried:
            # One that ended before the last one did changes no verdict.
            return run if run.finished_at >= last_finish_at else None
    return None


def _given_no_more_attempts(
    job: Job, state: JobState, now: float, settings: Settings
) -> tuple[JobState, tuple[Run, ...]]:
    """Return *state* with those runs judged whose next attempt has not come by *now*."""
    runs: list[Run] = []
    while (retry := attempts.next_due(job, state, now, settings)) is not None:
        state, run = finishes.judge_last_attempt(job, state, retry, now, settings)
        runs.append(run)
    return state, tuple(runs)


def _taken(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    match ping.kind:
        case Kind.FINISH:
            return _finished(job, state, ping, settings)
        case Kind.START:
            return _started(job, state, ping, settings)
        case Kind.PROGRESS if ping.push is not None:
            made = _pushed_progress(job, state, ping, settings)
        case Kind.PROGRESS:
            made = _progressed(job, state, ping, settings)
        case Kind.LOG:
            made = progress.with_log(job, state, ping)
    if made.duplicate or made.state.unnamed_seen is not state.unnamed_seen:
        return made
    seen = repeats.remember_unnamed(state, ping, settings)
    return replace(made, state=replace(made.state, unnamed_seen=seen)) if seen else made


def _started(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    if attempts.may_have_attempts(job, state):
        ping = attempts.with_attempt(job, state, ping, None, settings)
    if (repeated := repeats.start_of(state, ping, settings)) is not None:
        if ping.keeps_alive and not repeated:
            return progress.with_heartbeat(state, ping)
        return _duplicate(state, ping, repeated)
    at, warnings = spans.reported_time(ping.started_at, ping.at, "started_at")
    about, left_out = metadata.bounded(ping.metadata)
    run = OpenRun(
        run_id=ping.run_id,
        attempt=ping.attempt,
        started_at=at,
        group=overlaps.group_of(job, ping),
        metadata=about,
        max_attempts=ping.max_attempts,
        # A run that announces signs of life is silent from its start on.
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
        unnamed_seen=repeats.remember_unnamed(state, ping, settings),
    )
    state = open_runs.with_replaced(job, state, others.superseded, at)
    for late in others.timed_out:
        state, ended = finishes.time_out(job, state, late, at, ping, settings)
        runs.append(ended)
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
    """Return what becomes of runs that wait for an attempt now that *run* has started."""
    if (retry := attempts.overtaken(state, ping, None)) is not None:
        state, ended = finishes.judge_last_attempt(job, state, retry, ping.at, settings)
        return state, [ended]
    return attempts.with_next_attempt(job, state, run, ping), []


def _progressed(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> Transition:
    if ended := repeats.progress_of(state, ping, settings):
        return _duplicate(state, ping, ended)
    return progress.with_progress(job, state, ping, settings)


def _finished(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    if attempts.may_have_attempts(job, state):
        open_run = finishes.open_run_of(state, ping)
        ping = attempts.with_attempt(job, state, ping, open_run, settings)
    if (repeated := repeats.finish_of(state, ping, settings)) is not None:
        return _duplicate(state, ping, repeated)
    runs: tuple[Run, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    if open_runs.has_others(state, ping):
        state, runs, logs = _outlived(job, state, ping, settings)
    if state.retries:
        open_run = finishes.open_run_of(state, ping)
        if (retry := attempts.overtaken(state, ping, open_run)) is not None:
            state, ended = finishes.judge_last_attempt(
                job, state, retry, ping.at, settings
            )
            runs = (*runs, ended)
    state, run, warnings = finishes.finish(job, state, ping, settings)
    if ping.run_id is None or state.unnamed_seen:
        unnamed = repeats.remember_unnamed(state, ping, settings, run.number)
        state = replace(state, unnamed_seen=unnamed)
    return Transition(
        state=state, runs=(*runs, run), run=run, warnings=warnings, logs=logs
    )


def _outlived(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> tuple[JobState, tuple[Run, ...], tuple[LogEntry, ...]]:
    """Return *state* without the open runs that are over as *ping* ends another one.

    And those that have timed out by that, and log entries on the rest.
    """
    others, began = open_runs.at_finish(job, state, ping, settings)
    gone = (*others.timed_out, *others.superseded)
    if not gone and len(others.still_open) == len(state.open_runs):
        return state, (), ()
    state = replace(state, open_runs=tuple(others.still_open))
    state = open_runs.with_replaced(job, state, others.superseded, began)
    if state.retries:
        state = attempts.without(state, others.timed_out)
    runs: list[Run] = []
    for late in others.timed_out:
        state, ended = finishes.time_out(job, state, late, began, ping, settings)
        runs.append(ended)
    return state, tuple(runs), tuple(others.logs)


def _pushed_progress(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> Transition:
    """Record the progress that a push reports; the first one starts the run."""
    if repeated := repeats.finish_of(state, ping, settings):
        return _duplicate(state, ping, repeated)
    started = Transition(state=state)
    open_run = finishes.open_run_of(state, ping)
    if open_run is None or is_overdue(job, open_run, ping.at, settings):
        started = _started(job, state, ping, settings)
        if started.duplicate:
            return started
    after = progress.with_progress(job, started.state, ping, settings)
    return replace(started, state=after.state)


def _surroundings(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    required: Sequence[Required],
) -> JobState:
    """Return *state* with what time and other jobs have made of it."""
    if job.slower_than is None and state.slow:
        # Who asks for it again does not ask about a run that is long past.
        state = replace(state, slow=False, slow_threshold=None)
    if job.success_ratio is not None or state.success_ratio is not None:
        state = history.with_ratio(job, state, now)
    if job.concurrency is not None and state.open_runs:
        state = overlaps.with_overlaps(job, state, now, settings)
    if state.success_until and state.success_until <= now:
        state = replace(state, success_until=0.0)
    if required or upstream.held_back(state):
        troubled = partial(alerts.is_troubled, job, state, now, settings)
        state = upstream.reconciled(job, state, required, now, settings, troubled)
    return state


def _looked_at(job: Job, state: JobState, now: float, settings: Settings) -> JobState:
    """Return *state* with what is known of its open runs by *now*."""
    if not state.open_runs:
        return state
    return overlaps.without_late_starts(
        job, run_limits.watched(job, state, now, settings), now
    )


def _upstream_warnings(
    ping: Ping, made: Transition, required: Sequence[Required]
) -> Iterator[str]:
    if ping.kind in {Kind.START, Kind.FINISH} and not made.duplicate:
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
