"""Values for the texts of open alerts, with the labels of those alerts.

Prometheus joins them to alerts once per evaluation. A query for each of them would
take longer than the evaluation interval when thousands of alerts are open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alerts
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.rules import OPERATORS, Bound, Rule, measured
from afterrun_exporter.core.state import AlertKey, JobState
from afterrun_exporter.exposition.encoders import Sample
from afterrun_exporter.exposition.exposed_job import ExposedJob, label

#: Alerting rules use these codes: a new outcome must come last.
CODES = {outcome: code for code, outcome in enumerate(Outcome)}


def alert_details(subject: ExposedJob) -> Sequence[Sample]:
    """Return the values for open alerts of a job."""
    if subject.has_no_alerts:
        return ()
    return [
        (
            f"{labels},{label(names.CONDITION, condition.value)},{label(names.DETAIL, detail)}",
            value,
        )
        for condition, details in (
            (Condition.FAILING, _failing(subject)),
            (Condition.VIOLATED, _violated(subject)),
            (Condition.OVERLAPPING, _overlapping(subject)),
            (Condition.SLOW, _slow(subject)),
            (Condition.SUCCESS_RATIO_LOW, _success_ratio(subject)),
        )
        for detail, labels, value in details
    ]


#: The name of a value, the labels of its alert, and the value.
_Detail = tuple[str, str, float]


def _failing(subject: ExposedJob) -> Iterator[_Detail]:
    state = subject.state
    if not subject.shows(alerts.FAILING) or state.last_outcome is None:
        return
    labels = subject.alerting_if_failing
    yield names.DETAIL_RUNS, labels, state.consecutive_failures
    yield names.DETAIL_OUTCOME, labels, CODES[state.last_outcome]
    yield names.DETAIL_SUCCESS, labels, state.last_success_at or 0.0


def _violated(subject: ExposedJob) -> Iterator[_Detail]:
    for rule in subject.job.rules:
        key = AlertKey(Condition.VIOLATED, rule.name)
        # A rule on text has no bounds.
        if rule.bounds and subject.shows(key):
            value, bound, threshold = _broken(rule, subject.state)
            labels = subject.alerting_for(rule)
            yield names.DETAIL_VALUE, labels, value
            labels += f",{label(names.OP, bound.op)}"
            # Rounded, because it becomes text for people.
            yield names.DETAIL_BOUND, labels, float(f"{threshold:.10g}")


def _broken(rule: Rule, state: JobState) -> tuple[float, Bound, float]:
    """Return the value that violates *rule*, the violated bound, and its threshold.

    The value is NaN if the last known one satisfies the rule: the violating run did not
    report the metric, or a later run has resolved the violation.
    """
    value = measured(state.metrics, state.last_duration).get(rule.metric, math.nan)
    before = state.previous.get(rule.metric)
    thresholds = [(bound, bound.threshold(before)) for bound in rule.bounds]
    for bound, threshold in thresholds:
        if (
            not math.isnan(value)
            and not math.isnan(threshold)
            and not OPERATORS[bound.op](value, threshold)
        ):
            return value, bound, threshold
    return math.nan, *thresholds[0]


def _overlapping(subject: ExposedJob) -> Iterator[_Detail]:
    # With only one open run, the others have finished since.
    running = len(subject.state.open_runs)
    if subject.shows(alerts.OVERLAPPING) and running > 1:
        yield names.DETAIL_RUNS, subject.alerting, running


def _slow(subject: ExposedJob) -> Iterator[_Detail]:
    # The last duration may be that of a later run, which failed early or was fast
    # again, so it is compared with the limit.
    took, limit = subject.state.last_duration, subject.state.slow_threshold
    if subject.shows(alerts.SLOW) and took and limit and took > limit:
        yield names.DETAIL_VALUE, subject.alerting, took
        yield names.DETAIL_LIMIT, subject.alerting, limit


def _success_ratio(subject: ExposedJob) -> Iterator[_Detail]:
    ratio = subject.state.success_ratio
    if (
        subject.shows(alerts.SUCCESS_RATIO_LOW)
        and ratio
        and not math.isnan(ratio.value)
    ):
        yield names.DETAIL_VALUE, subject.alerting, ratio.value
