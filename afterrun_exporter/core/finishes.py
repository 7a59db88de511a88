"""Effects of the end of a run on its job."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec.structs import replace

from afterrun_exporter.core import (
    attempts,
    duplicates,
    history,
    hung_runs,
    metadata,
    misses,
    recovery,
    run_times,
)
from afterrun_exporter.core.deadlines import covered_by
from afterrun_exporter.core.model import (
    FAILURES,
    Condition,
    Job,
    Kind,
    Outcome,
    Ping,
    Run,
    Settings,
    SlowerThan,
)
from afterrun_exporter.core.outcome_totals import with_outcome
from afterrun_exporter.core.rules import Violation, judge_all, measured
from afterrun_exporter.core.run_limits import run_limit, silence_limit, time_limit
from afterrun_exporter.core.state import BadRun, JobState, OpenRun, Retry
from afterrun_exporter.core.text_fields import last_words, reported_host
from afterrun_exporter.core.timestamps import format_time


def finish(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> tuple[JobState, Run, tuple[str, ...]]:
    """Return the state after the end of a run by *ping*, that run, and warnings."""
    open_run = open_run_of(state, ping)
    times = run_times.times_of(ping, open_run)

    end, start, duration = times.ended_at, times.started_at, times.duration

    metrics, about = ping.metrics, ping.metadata
    if open_run is not None:
        metrics = metrics_after(open_run.metrics, ping, settings.metrics_per_job)
        about = metadata.merged(open_run.metadata, about)
    values = measured(metrics, duration)
    violations: tuple[Violation, ...] = ()
    outcome = ping.outcome
    if outcome is Outcome.OK and job.rules:
        violations = judge_all(job.rules, values, state.previous, ping.message, about)
        outcome = Outcome.VIOLATED if violations else outcome

    run = Run(
        number=state.recorded + 1,
        run_id=_run_id(ping, open_run),
        attempt=ping.attempt,
        max_attempts=ping.max_attempts,
        outcome=outcome,
        started_at=start,
        finished_at=end,
        received_at=ping.at,
        duration=duration,
        exit_code=ping.exit_code,
        metrics=metrics,
        violations=violations,
        message=ping.message,
        metadata=about,
    )
    still_open = state.open_runs
    if still_open:
        still_open = tuple(other for other in still_open if other is not open_run)
    if run.max_attempts is not None and run.is_retried:
        after = attempts.with_failed_attempt(
            job, state, run, ping, still_open, settings
        )
    else:
        if state.retries:
            state = replace(state, retries=attempts.retries_after(state, run, ping))
        began, was_hung = None, False
        if open_run is not None:
            began = open_run.started_at
        elif run.run_id is not None and (state.hung or run.outcome in FAILURES):
            was_hung = hung_runs.was_given_up(state, run, settings)
        after = _effects(
            job, state, run, values, still_open, settings, began, was_hung=was_hung
        )
    if after.unobserved_through:
        after = misses.with_report(job, after, end)
    return after, run, times.warnings


def judge_last_attempt(
    job: Job, state: JobState, retry: Retry, now: float, settings: Settings
) -> tuple[JobState, Run]:
    """Return the state after the last attempt *retry* of a run, and that run."""
    run = attempts.last_attempt(retry, state.recorded + 1, now)
    rest = tuple(one for one in state.retries if one is not retry)
    values = measured(run.metrics, run.duration)
    waiting = replace(state, retries=rest)
    after = _effects(job, waiting, run, values, state.open_runs, settings)
    # A later attempt is an ordinary report, and none has come now.
    keys = duplicates.with_key(state.run_keys, duplicates.NO_KEY, settings)
    return replace(after, run_keys=keys, last_ping_at=state.last_ping_at), run


def time_out(
    job: Job,
    state: JobState,
    open_run: OpenRun,
    follower: float,
    ping: Ping,
    settings: Settings,
) -> tuple[JobState, Run]:
    """Return the state after giving up *open_run*, and the run it became.

    It covers no slot: its end was not reported. The run of *ping*, which began at
    *follower*, has followed it: the job is failing if that one is not ok, either.
    """
    now = ping.at
    run = Run(
        number=state.recorded + 1,
        run_id=open_run.run_id,
        attempt=open_run.attempt,
        outcome=Outcome.TIMEOUT,
        started_at=open_run.started_at,
        finished_at=min(now, run_limit(job, open_run)),
        received_at=now,
        metrics=open_run.metrics,
        message=f"started at {format_time(open_run.started_at)} "
        f"and {_unfinished(job, open_run)} when the next run "
        f"{'ended' if ping.kind is Kind.FINISH else 'started'}",
        metadata=open_run.metadata,
    )
    # A later finish is an ordinary report, not a repeat.
    key = duplicates.given_up(duplicates.key_of(run))
    keys = duplicates.with_key(state.run_keys, key, settings)
    updated = replace(_with_run(state, run, state.open_runs, settings), run_keys=keys)
    if is_late(run, state.last_judged_at):
        return hung_runs.with_hung_run(
            job, updated, open_run, follower, is_last=False
        ), run
    record = recovery.record(job, state, Outcome.TIMEOUT)
    failed = replace(
        updated,
        last_outcome=Outcome.TIMEOUT,
        bad_run=_bad_run(run),
        loaded=False,
        consecutive_failures=record.consecutive_failures,
        timed_out=_stays_timed_out(state, series=state.consecutive_failures > 0),
        recovering=record.recovering,
        # The following run shows if the job works again.
        failing=recovery.was_failing(state),
    )
    return hung_runs.with_hung_run(job, failed, open_run, follower, is_last=True), run


def _unfinished(job: Job, open_run: OpenRun) -> str:
    if silence_limit(job, open_run) < time_limit(job, open_run):
        return f"had sent no sign of life since {format_time(open_run.alive_at)}"
    return "had not ended"


def is_late(run: Run, last_judged_at: float) -> bool:
    """Return True if *run* ended before the last judged run, so that it is no news.

    Only a report with its own end time can be older than the state; a later judgement
    than that was recorded before the clock was set back.
    """
    return run.finished_at < last_judged_at <= run.received_at


def was_given_up(run: Run) -> bool:
    """Return True if the end of *run* was never reported: see `time_out`."""
    # A report about a run whose start is known always has a duration.
    never_ended = run.started_at is not None and run.duration is None
    return run.outcome is Outcome.TIMEOUT and never_ended


def is_earlier_attempt(run: OpenRun, ping: Ping) -> bool:
    """Return True if *ping* is about a later attempt of *run*, which is over then."""
    same = run.run_id is not None and run.run_id == ping.run_id
    return same and run.attempt < ping.attempt


def open_run_of(state: JobState, ping: Ping) -> OpenRun | None:
    """Return the open run that *ping* is about, or None.

    With an id, the run with this id; without one, the newest run that has none either.
    If only one of them has an id, the only open run.
    """
    if not state.open_runs:
        return None
    same = [run for run in state.open_runs if run.run_id == ping.run_id]
    if ping.run_id is not None and same:
        exact = [run for run in same if run.attempt == ping.attempt]
        if ping.is_numbered and not exact:
            # An earlier attempt does not end a later one.
            exact = [run for run in same if run.attempt < ping.attempt]
            return exact[-1] if exact else None
        return next(iter(exact or same))
    if same:
        return same[-1]
    only = state.open_runs[0] if len(state.open_runs) == 1 else None
    half_named = only is not None and None in {only.run_id, ping.run_id}
    return only if half_named else None


def merged_metrics(
    current: Mapping[str, float], reported: Mapping[str, float], limit: int
) -> Mapping[str, float]:
    """Return the last value of each metric, at most *limit* of them.

    The reported values are kept; the oldest other ones make room for them.
    """
    if current.keys() == reported.keys():
        return reported
    unreported = {
        name: value for name, value in current.items() if name not in reported
    }
    room = max(0, limit - len(reported))
    for name in list(unreported)[: max(0, len(unreported) - room)]:
        del unreported[name]
    return {**unreported, **reported}


def metrics_after(
    current: Mapping[str, float], ping: Ping, limit: int
) -> Mapping[str, float]:
    """Return the metrics of a run that had reported *current* before *ping*."""
    if not ping.adds:
        return merged_metrics(current, ping.metrics, limit)
    sums = {name: current.get(name, 0.0) + more for name, more in ping.metrics.items()}
    # Two finite numbers may add up to one that is not.
    finite = {name: value for name, value in sums.items() if math.isfinite(value)}
    return merged_metrics(current, finite, limit)


def _run_id(ping: Ping, open_run: OpenRun | None) -> str | None:
    # An unreadable report has no known run: a readable one about this run, which may
    # still come, must not be a repeat of it.
    if open_run is None or ping.outcome is Outcome.INVALID:
        return ping.run_id
    return ping.run_id or open_run.run_id


def _effects(
    job: Job,
    state: JobState,
    run: Run,
    values: Mapping[str, float],
    still_open: tuple[OpenRun, ...],
    settings: Settings,
    began: float | None = None,
    *,
    was_hung: bool = False,
) -> JobState:
    """Return *state* with all effects of *run*, which reported *values*.

    Its start was reported at *began*, if at all. *was_hung* is true for a run that was
    given up before: only a better outcome is news.
    """
    if run.outcome is Outcome.CANCELED:
        return _with_run(state, run, still_open, settings)
    covered = covered_by(job, run.finished_at, run.started_at)
    after = _with_run(state, run, still_open, settings, covered)
    is_news = not (was_hung and run.outcome in FAILURES)
    is_news = is_news and run.outcome is not Outcome.SKIPPED
    judged = is_news and not is_late(run, state.last_judged_at)
    if judged:
        after = _with_outcome(job, after, run, values, settings)
        if job.slower_than is not None:
            after = _with_slowness(job.slower_than, after, run)
    if state.hung and is_news:
        hung = hung_runs.still_hung(state, run, began, again=was_hung, judged=judged)
        after = replace(after, hung=hung)
    if after.unobserved_through:
        after = misses.with_report(job, after, run.finished_at)
    if after.missed_deadline is not None and after.due_after > state.due_after:
        after = misses.with_late_run(job, after, run.received_at, settings)
    return after


def _with_run(
    state: JobState,
    run: Run,
    still_open: tuple[OpenRun, ...],
    settings: Settings,
    covered: float = -math.inf,
) -> JobState:
    """Return *state* with *run* counted, and the slots up to *covered* done."""
    # Each copy of a state is expensive: this one has all that any run changes.
    end, outcome = run.finished_at, run.outcome
    ok = outcome is Outcome.OK
    bad = not ok and outcome in FAILURES
    violated = not ok and outcome is Outcome.VIOLATED
    return replace(
        state,
        last_ping_at=run.received_at,
        due_after=max(state.due_after, covered),
        open_runs=still_open,
        runs_total=state.runs_total + 1,
        failures_total=state.failures_total + bad,
        violating_total=state.violating_total + violated,
        other_totals=(
            state.other_totals
            if ok or violated
            else with_outcome(state.other_totals, outcome)
        ),
        duration_sum=state.duration_sum + (run.duration or 0.0),
        duration_count=state.duration_count + (run.duration is not None),
        last_finish_at=max(state.last_finish_at, end),
        last_success_at=max(state.last_success_at, end if ok else 0.0),
        last_failure_at=max(state.last_failure_at, end if bad or violated else 0.0),
        run_keys=duplicates.with_key(state.run_keys, duplicates.key_of(run), settings),
    )


def _with_outcome(
    job: Job, state: JobState, run: Run, values: Mapping[str, float], settings: Settings
) -> JobState:
    healthy = run.outcome is Outcome.OK
    record = recovery.record(job, state, run.outcome)
    reported_ok = healthy or run.outcome is Outcome.VIOLATED
    return replace(
        state,
        last_outcome=run.outcome,
        bad_run=None if healthy else _bad_run(run),
        last_judged_at=run.finished_at,
        loaded=False,
        last_duration=run.duration if run.duration is not None else state.last_duration,
        consecutive_failures=record.consecutive_failures,
        recovering=record.recovering,
        failing=record.failing,
        timed_out=_is_timed_out(state, run),
        metrics=merged_metrics(state.metrics, run.metrics, settings.metrics_per_job),
        previous=values if healthy else state.previous,
        violated=(
            tuple(violation.rule for violation in run.violations)
            if reported_ok
            else state.violated
        ),
    )


def _is_timed_out(state: JobState, run: Run) -> bool:
    """Return True if *run* timed out, or one of the bad runs before it in a row.

    The value of the last series stays until the next one: it is still shown.
    """
    is_ok = run.outcome is Outcome.OK
    if run.outcome is Outcome.TIMEOUT or (hung_runs.is_pending(state) and not is_ok):
        return True
    return _stays_timed_out(state, series=is_ok or state.consecutive_failures > 0)


def _stays_timed_out(state: JobState, *, series: bool) -> bool:
    healed = any(one.key.condition is Condition.FAILING for one in state.healed)
    return state.timed_out and (series or healed or recovery.was_failing(state))


def _with_slowness(slower: SlowerThan, state: JobState, run: Run) -> JobState:
    """Return *state* with the mark of an unusually long *run*.

    The duration of a failed run is not representative.
    """
    completed = run.outcome in {Outcome.OK, Outcome.VIOLATED}
    if run.duration is None or not completed:
        return state
    limit = history.slow_threshold(slower, state.history, run.finished_at)
    slow = limit is not None and run.duration > limit
    bad_run = _bad_run(run) if slow else state.bad_run
    return replace(state, slow=slow, slow_threshold=limit, bad_run=bad_run)


def _bad_run(run: Run) -> BadRun:
    return BadRun(
        run_id=run.run_id,
        outcome=run.outcome,
        exit_code=run.exit_code,
        host=reported_host(run.metadata),
        message=last_words(run.message),
    )
