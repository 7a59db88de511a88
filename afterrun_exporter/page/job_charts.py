"""The charts of a job: its duration and its metrics, with their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from afterrun_exporter.core.backtest import Backtest
from afterrun_exporter.core.model import Job, Outcome, Run
from afterrun_exporter.core.rules import DURATION, Bound, Rule, measured
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.units import format_duration, format_number
from afterrun_exporter.page.job_rows import duration_text, metrics_of
from afterrun_exporter.page.number_format import exactly, in_unit
from afterrun_exporter.page.svg_chart import Chart, Limit, Point
from afterrun_exporter.page.times import happened, span


def charts(
    job: Job, state: JobState, runs: Sequence[Run], now: float
) -> Iterator[Chart]:
    """Yield the charts of *runs*, which are sorted newest first."""
    past = _judged(runs)
    if not past:
        return
    if not lacks_durations(runs):
        yield _duration(job, state, past, now)
    for metric in metrics_of(job, state, past):
        yield _metric(job, metric, past, now)


def lacks_durations(runs: Sequence[Run]) -> bool:
    """Return True if none of *runs* has reported a duration."""
    return bool(runs) and all(run.duration is None for run in runs)


def tried_charts(result: Backtest, runs: Sequence[Run], now: float) -> Iterator[Chart]:
    """Yield a chart for each metric in a backtest *result*, marking violations.

    *runs* are sorted newest first. A metric that no run reported has no chart.
    """
    numbers = {run.number for run in runs}
    flagging = [
        (one.run.number, violation)
        for one in result.flagged
        if one.run.number in numbers
        for violation in one.violations
    ]
    flagged = {number for number, _ in flagging}
    broken = {(number, one.metric) for number, one in flagging if one.text is None}

    def would_be_ok(run: Run) -> bool:
        said_ok = run.outcome in {Outcome.OK, Outcome.VIOLATED}
        return said_ok and run.number not in flagged

    past = _judged(runs)
    reported = {name for run in past for name in measured(run.metrics, run.duration)}
    thresholds = [rule for rule in result.rules if rule.assertion is None]
    for metric in dict.fromkeys(rule.metric for rule in thresholds):
        if metric in reported:
            unit = _unit(result.rules, metric)
            points = [
                _point(run, metric, unit, bad=(run.number, metric) in broken, now=now)
                for run in past
            ]
            yield Chart(
                title="Duration" if metric == DURATION else metric,
                metric=metric,
                points=points,
                limits=[*_limits(result.rules, metric, past, would_be_ok)],
                unit=unit,
            )


def _judged(runs: Sequence[Run]) -> list[Run]:
    """Return *runs*, oldest first, without failed attempts that were retried."""
    return [run for run in reversed(runs) if not run.is_retried]


def _duration(job: Job, state: JobState, past: Sequence[Run], now: float) -> Chart:
    limits = [*_limits(job.rules, DURATION, past, _was_ok)]
    if job.max_runtime is not None:
        text = f"max_runtime {format_duration(job.max_runtime)}"
        limits.append(Limit(label=text, op="<=", value=job.max_runtime))
    if job.slower_than is not None and state.slow_threshold is not None:
        usual = job.slower_than
        limit = span(state.slow_threshold)
        text = f"slow: {format_number(usual.factor)} x {usual.than}, {limit}"
        limits.append(Limit(label=text, op="<=", value=state.slow_threshold))
    points = [_point(run, DURATION, bad=_too_long(job, run), now=now) for run in past]
    return Chart(title="Duration", metric=DURATION, points=points, limits=limits)


def _too_long(job: Job, run: Run) -> bool:
    if run.outcome is Outcome.TIMEOUT or _broke(run, DURATION):
        return True
    longest = job.max_runtime
    return longest is not None and run.duration is not None and run.duration > longest


def _metric(job: Job, metric: str, past: Sequence[Run], now: float) -> Chart:
    unit = _unit(job.rules, metric)
    points = [
        _point(run, metric, unit, bad=_broke(run, metric), now=now) for run in past
    ]
    limits = [*_limits(job.rules, metric, past, _was_ok)]
    return Chart(title=metric, metric=metric, points=points, limits=limits, unit=unit)


def _unit(rules: Iterable[Rule], metric: str) -> str:
    bounds = (bound for rule in rules if rule.metric == metric for bound in rule.bounds)
    return next((bound.unit for bound in bounds if bound.unit), "")


def _point(run: Run, metric: str, unit: str = "", *, bad: bool, now: float) -> Point:
    if metric == DURATION:
        value, text = run.duration, duration_text(run.duration) or "duration unknown"
    else:
        value = run.metrics.get(metric)
        text = "not reported" if value is None else in_unit(value, metric, unit)
    return Point(value=value, bad=bad, label=_label(run, text, now))


def _limits(
    rules: Iterable[Rule],
    metric: str,
    past: Sequence[Run],
    is_ok: Callable[[Run], bool],
) -> Iterator[Limit]:
    for rule in rules:
        if rule.assertion is None and rule.metric == metric:
            yield from (_limit(rule, bound, past, is_ok) for bound in rule.bounds)


def _was_ok(run: Run) -> bool:
    return run.outcome is Outcome.OK


def _limit(
    rule: Rule, bound: Bound, past: Sequence[Run], is_ok: Callable[[Run], bool]
) -> Limit:
    if not bound.of_previous:
        text = exactly(bound.value, rule.metric, bound.unit)
        return Limit(label=f"{bound.op} {text}", op=bound.op, value=bound.value)
    values: list[float | None] = []
    before: float | None = None
    for run in past:
        values.append(None if before is None else bound.threshold(before))
        if is_ok(run):
            is_duration = rule.metric == DURATION
            before = run.duration if is_duration else run.metrics.get(rule.metric)
    return Limit(label=str(bound), op=bound.op, values=tuple(values))


def _broke(run: Run, metric: str) -> bool:
    return any(
        broken.metric == metric and broken.text is None for broken in run.violations
    )


def _label(run: Run, text: str, now: float) -> str:
    finish = happened(run.finished_at, now)
    when = f"{finish.utc}, {finish.away}" if finish else ""
    return f"run {run.number}: {text} ({run.outcome.value}); {when}"
