"""Which charts a job has: its duration, and each metric, with what they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from afterrun_exporter.core.model import Job, Outcome, Run
from afterrun_exporter.core.rules import DURATION, Bound, Rule
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.units import format_duration, format_number
from afterrun_exporter.page.charts import Chart, Limit, Point
from afterrun_exporter.page.job import duration_text, metrics_of
from afterrun_exporter.page.numbers import limit_text, readable
from afterrun_exporter.page.times import moment


def charts(
    job: Job, state: JobState, runs: Sequence[Run], now: float
) -> Iterator[Chart]:
    """Yield the charts of *runs*, which come newest first."""
    past = runs[::-1]
    if not past:
        return
    yield _duration(job, state, past, now)
    for metric in metrics_of(job, state, past):
        yield _metric(job, metric, past, now)


def _duration(job: Job, state: JobState, past: Sequence[Run], now: float) -> Chart:
    limits = [*_limits(job, DURATION, past)]
    if job.max_runtime is not None:
        text = f"max_runtime {format_duration(job.max_runtime)}"
        limits.append(Limit(label=text, op="<=", value=job.max_runtime))
    if job.slower_than is not None and state.slow_threshold is not None:
        usual = job.slower_than
        text = f"slow: {format_number(usual.factor)} x {usual.than}"
        limits.append(Limit(label=text, op="<=", value=state.slow_threshold))
    points = [
        Point(
            value=run.duration,
            bad=_too_long(job, run),
            label=_label(run, duration_text(run.duration) or "duration unknown", now),
        )
        for run in past
    ]
    return Chart(title="Duration", metric=DURATION, points=points, limits=limits)


def _too_long(job: Job, run: Run) -> bool:
    if run.outcome is Outcome.TIMEOUT or _broke(run, DURATION):
        return True
    longest = job.max_runtime
    return longest is not None and run.duration is not None and run.duration > longest


def _metric(job: Job, metric: str, past: Sequence[Run], now: float) -> Chart:
    points = []
    for run in past:
        value = run.metrics.get(metric)
        told = "not reported" if value is None else readable(value)
        points.append(
            Point(value=value, bad=_broke(run, metric), label=_label(run, told, now))
        )
    return Chart(
        title=metric, metric=metric, points=points, limits=[*_limits(job, metric, past)]
    )


def _limits(job: Job, metric: str, past: Sequence[Run]) -> Iterator[Limit]:
    for rule in job.rules:
        if rule.metric == metric:
            yield from (_limit(rule, bound, past) for bound in rule.bounds)


def _limit(rule: Rule, bound: Bound, past: Sequence[Run]) -> Limit:
    if not bound.of_previous:
        told = (
            f"{bound.op} {format_duration(bound.value)}"
            if rule.metric == DURATION
            else f"{bound.op} {limit_text(bound.value, rule.metric)}"
        )
        return Limit(label=told, op=bound.op, value=bound.value)
    values: list[float | None] = []
    before: float | None = None
    for run in past:
        values.append(None if before is None else bound.threshold(before))
        if run.outcome is Outcome.OK:
            is_duration = rule.metric == DURATION
            before = run.duration if is_duration else run.metrics.get(rule.metric)
    return Limit(label=str(bound), op=bound.op, values=tuple(values))


def _broke(run: Run, metric: str) -> bool:
    return any(broken.metric == metric for broken in run.violations)


def _label(run: Run, told: str, now: float) -> str:
    ended = moment(run.finished_at, now)
    when = f"{ended.utc}, {ended.away}" if ended else ""
    return f"run {run.number}: {told} ({run.outcome.value}); {when}"
