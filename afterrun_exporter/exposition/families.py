"""Each metric family of a job, as a pure function of the job and its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import schedule_text
from afterrun_exporter.core.model import Condition, Job, Outcome
from afterrun_exporter.core.outcome_totals import runs_by_outcome
from afterrun_exporter.core.run_limits import run_deadline
from afterrun_exporter.core.schedule import Calendar
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.exposition.alert_details import CODES, alert_details
from afterrun_exporter.exposition.encoders import (
    Alerting,
    Fact,
    Family,
    Sample,
    Shape,
    Summary,
)
from afterrun_exporter.exposition.exposed_job import (
    REMEMBERED,
    ExposedJob,
    bound_labels,
    label,
    metric_label,
)
from afterrun_exporter.exposition.formats import header

_OUTCOMES = {one: f",{label('outcome', one.value)}" for one in Outcome}


@lru_cache(REMEMBERED)
def _info_labels(
    schedule: str,
    zone: str,
    project: str,
    severity: str,
    declared: tuple[tuple[str, str], ...],
) -> str:
    labels = {
        "schedule": schedule,
        "timezone": zone,
        "project": project,
        names.SEVERITY: severity,
        **dict(declared),
    }
    return "".join(f",{label(key, value)}" for key, value in labels.items())


def info(subject: ExposedJob) -> Sequence[Sample]:
    """Return the settings of the job as labels, with every declared label."""
    job = subject.job
    schedule = job.schedule
    text = schedule.text if schedule else ""
    zone = schedule.zone if isinstance(schedule, Calendar) else ""
    labels = _info_labels(text, zone, job.project, job.severity, job.labels)
    return ((subject.own + labels, 1),)


def last_run_success(subject: ExposedJob) -> Sequence[Sample]:
    """Return 1 if the last run was ok, otherwise 0; nothing before the first."""
    if (outcome := subject.state.last_outcome) is None:
        return ()
    return ((subject.own, outcome is Outcome.OK),)


def last_outcome(subject: ExposedJob) -> Sequence[Sample]:
    """Return the code of the outcome of the last run."""
    if (outcome := subject.state.last_outcome) is None:
        return ()
    return ((subject.own, CODES[outcome]),)


def metric_values(subject: ExposedJob) -> Sequence[Sample]:
    """Return the last value of each reported metric."""
    own = subject.own
    return [
        (own + metric_label(metric), value)
        for metric, value in subject.state.metrics.items()
    ]


def rule_violated(subject: ExposedJob) -> Sequence[Sample]:
    """Return 1 for each rule with a visible violation, and 0 for the others."""
    rules = subject.job.rules
    if subject.has_no_alerts:
        return [(subject.alerting_for(rule), 0) for rule in rules]
    return [
        (
            subject.alerting_for(rule),
            subject.shows(AlertKey(Condition.VIOLATED, rule.name)),
        )
        for rule in rules
    ]


def rule_threshold(subject: ExposedJob) -> Sequence[Sample]:
    """Return the threshold of each bound of each rule."""
    previous = subject.state.previous
    return [
        (
            subject.own + bound_labels(rule.name, rule.metric, bound.op),
            bound.threshold(previous.get(rule.metric)),
        )
        for rule in subject.job.rules
        for bound in rule.bounds
    ]


def job_deadline(subject: ExposedJob) -> float:
    """Return the time from which the next run counts as missed."""
    due = subject.healing_deadline(alerts.MISSED)
    if due is None:
        due = subject.state.missed_deadline
    return subject.due.deadline if due is None else due


def open_run_deadline(subject: ExposedJob) -> float:
    """Return the time from which the oldest open run is overrunning."""
    due = subject.healing_deadline(alerts.OVERRUNNING)
    if due is None:
        due = run_deadline(subject.job, subject.state, subject.settings)
    return due


def failing(subject: ExposedJob) -> Sequence[Sample]:
    """Return 1 if the job is visibly failing, with another label if a run timed out.

    The series without that label becomes 0, so that it does not stay at 1.
    """
    is_failing = subject.shows(alerts.FAILING)
    if not subject.state.timed_out:
        return ((subject.alerting_on(Condition.FAILING), is_failing),)
    labels = subject.alerting_on(Condition.FAILING)
    return ((labels, 0), (subject.alerting_if_failing, is_failing))


def success_ratio(subject: ExposedJob) -> Sequence[Sample]:
    """Return the ratio of ok runs in the window, if configured."""
    if subject.job.success_ratio is None:
        return ()
    ratio = subject.state.success_ratio
    return ((subject.own, ratio.value if ratio else math.nan),)


def slow_threshold(subject: ExposedJob) -> Sequence[Sample]:
    """Return the duration above which the last run was slow, if configured."""
    if subject.job.slower_than is None:
        return ()
    limit = subject.state.slow_threshold
    return ((subject.own, math.nan if limit is None else limit),)


def test_alert(subject: ExposedJob) -> Sequence[Sample]:
    """Return 1 while a test alert is visible."""
    if not subject.shows(alerts.TEST):
        return ()
    severity = subject.state.test_severity or subject.job.severity
    return ((subject.alerting_as(severity), 1),)


def succeeded(subject: ExposedJob) -> Sequence[Sample]:
    """Return 1 if a run finished ok recently and a receiver wants successes."""
    return ((subject.alerting, 1),) if subject.shows(alerts.SUCCEEDED) else ()


def _condition(
    key: AlertKey, configured: Callable[[Job], object]
) -> Callable[[ExposedJob], Sequence[Sample]]:
    """Return a sample function for the visible alert *key*, if configured."""

    def samples(subject: ExposedJob) -> Sequence[Sample]:
        if not configured(subject.job):
            return ()
        return ((subject.alerting_on(key.condition), subject.shows(key)),)

    return samples


def outcomes(subject: ExposedJob) -> Sequence[Sample]:
    """Return the number of runs with each outcome that has occurred.

    Series of all outcomes of all jobs would be a fifth of the metrics.
    """
    if not subject.state.runs_total:
        return ()
    own = subject.own
    return [
        (own + _OUTCOMES[outcome], count)
        for outcome, count in runs_by_outcome(subject.state).items()
    ]


def schedule_invalid(subject: ExposedJob) -> float:
    """Return True if the schedule has no future slot or cannot be used."""
    if subject.state.lacks_schedule and not subject.job.configured:
        return True
    return math.isinf(subject.due.slot) and bool(schedule_text(subject.job))


def last_duration(subject: ExposedJob) -> float:
    """Return the last known duration; NaN before the first."""
    duration = subject.state.last_duration
    return math.nan if duration is None else duration


#: All families, in the order of exposition: counters last.
FAMILIES: tuple[Shape, ...] = (
    Family(names.INFO, "gauge", info),
    Fact(names.CREATED, "gauge", lambda s: s.state.created_at),
    Fact(names.LAST_PING, "gauge", lambda s: s.state.last_ping_at),
    Fact(names.LAST_START, "gauge", lambda s: s.state.last_start_at),
    Fact(names.LAST_RUN, "gauge", lambda s: s.state.last_finish_at),
    Fact(names.LAST_SUCCESS, "gauge", lambda s: s.state.last_success_at),
    Fact(names.LAST_FAILURE, "gauge", lambda s: s.state.last_failure_at),
    Family(names.LAST_RUN_SUCCESS, "gauge", last_run_success),
    Family(names.LAST_OUTCOME, "gauge", last_outcome),
    Fact(names.LAST_DURATION, "gauge", last_duration),
    Family(names.METRIC_VALUE, "gauge", metric_values),
    Family(names.RULE_VIOLATED, "gauge", rule_violated),
    Family(names.RULE_THRESHOLD, "gauge", rule_threshold),
    Fact(names.NEXT_RUN, "gauge", lambda s: s.due.slot),
    Alerting(names.DEADLINE, "gauge", job_deadline, condition=Condition.MISSED),
    Fact(names.STALE, "gauge", lambda s: s.shows(alerts.MISSED)),
    Fact(names.RUNNING, "gauge", lambda s: len(s.state.open_runs)),
    Alerting(
        names.RUN_DEADLINE, "gauge", open_run_deadline, condition=Condition.OVERRUNNING
    ),
    Fact(names.PAUSED, "gauge", lambda s: not s.job.enabled),
    Fact(names.UNOBSERVED, "gauge", lambda s: s.state.unobserved is not None),
    Fact(names.CONSECUTIVE_FAILURES, "gauge", lambda s: s.state.consecutive_failures),
    Family(names.FAILING, "gauge", failing),
    Family(names.SUCCESS_RATIO, "gauge", success_ratio),
    Family(
        names.SUCCESS_RATIO_LOW,
        "gauge",
        _condition(alerts.SUCCESS_RATIO_LOW, lambda job: job.success_ratio),
    ),
    Family(names.SLOW, "gauge", _condition(alerts.SLOW, lambda job: job.slower_than)),
    Family(names.SLOW_THRESHOLD, "gauge", slow_threshold),
    Family(
        names.OVERLAPPING,
        "gauge",
        _condition(alerts.OVERLAPPING, lambda job: job.concurrency),
    ),
    Family(
        names.UPSTREAM_UNHEALTHY,
        "gauge",
        _condition(alerts.UPSTREAM_UNHEALTHY, lambda job: job.depends_on),
    ),
    Family(names.TEST_ALERT, "gauge", test_alert),
    Family(names.SUCCEEDED, "gauge", succeeded),
    Family(names.ALERT_DETAIL, "gauge", alert_details),
    Fact(names.SCHEDULE_INVALID, "gauge", schedule_invalid),
    Summary(
        names.DURATION,
        "summary",
        lambda s: s.state.duration_sum,
        lambda s: s.state.duration_count,
    ),
    Fact(names.RUNS, "counter", lambda s: s.state.runs_total),
    Fact(names.FAILED_ATTEMPTS, "counter", lambda s: s.state.attempts_total),
    Fact(names.RUN_FAILURES, "counter", lambda s: s.state.failures_total),
    Fact(names.VIOLATING_RUNS, "counter", lambda s: s.state.violating_total),
    Family(names.RUNS_BY_OUTCOME, "counter", outcomes),
    Fact(names.MISSED_RUNS, "counter", lambda s: s.state.missed_total),
    Fact(names.UNOBSERVED_SLOTS, "counter", lambda s: s.state.unobserved_total),
    Fact(names.DUPLICATE_PINGS, "counter", lambda s: s.state.duplicates_total),
)

_OPENINGS = {
    (family.name, is_openmetrics): header(
        family.name,
        family.type,
        names.HELP[family.name],
        is_openmetrics=is_openmetrics,
    ).encode()
    for family in FAMILIES
    for is_openmetrics in (False, True)
}


def opening(family: Shape, *, is_openmetrics: bool = False) -> bytes:
    """Return the lines before the samples of *family*."""
    return _OPENINGS[family.name, is_openmetrics]
