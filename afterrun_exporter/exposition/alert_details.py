"""Values for the texts of open alerts, with the labels of those alerts.

Prometheus joins them to alerts once per evaluation. A query for each of them would
take longer than the evaluation interval when thousands of alerts are open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alert_values, alerts
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.state import AlertKey
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
            (Condition.OVERRUNNING, _overrunning(subject)),
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
    labels, code = subject.alerting_if_failing, alert_values.exit_code(state)
    yield names.DETAIL_RUNS, labels, state.consecutive_failures
    yield names.DETAIL_OUTCOME, labels, CODES[state.last_outcome]
    yield names.DETAIL_EXIT_CODE, labels, -1.0 if code is None else code
    yield names.DETAIL_SUCCESS, labels, state.last_success_at or 0.0


def _violated(subject: ExposedJob) -> Iterator[_Detail]:
    for rule in subject.job.rules:
        key = AlertKey(Condition.VIOLATED, rule.name)
        if not subject.shows(key):
            continue
        if broken := alert_values.broken(rule, subject.state):
            labels = subject.alerting_for(rule)
            yield names.DETAIL_VALUE, labels, broken.value
            unit = label(names.UNIT, rule.unit or names.NO_UNIT)
            labels += f",{label(names.OP, broken.op)},{unit}"
            # Rounded, because it becomes text for people.
            yield names.DETAIL_BOUND, labels, float(f"{broken.threshold:.10g}")


def _overrunning(subject: ExposedJob) -> Iterator[_Detail]:
    if subject.shows(alerts.OVERRUNNING) and alert_values.is_silent(
        subject.job, subject.state
    ):
        yield names.DETAIL_SILENT, subject.alerting_on(Condition.OVERRUNNING), 1.0


def _overlapping(subject: ExposedJob) -> Iterator[_Detail]:
    running = alert_values.overlapping(subject.state)
    if subject.shows(alerts.OVERLAPPING) and running is not None:
        labels = subject.alerting_on(Condition.OVERLAPPING)
        yield names.DETAIL_RUNS, labels, running


def _slow(subject: ExposedJob) -> Iterator[_Detail]:
    slow = alert_values.slow(subject.job, subject.state)
    if subject.shows(alerts.SLOW) and slow is not None:
        labels = subject.alerting_on(Condition.SLOW)
        yield names.DETAIL_VALUE, labels, slow.took
        yield names.DETAIL_USUAL, labels, slow.usual
        yield names.DETAIL_LIMIT, labels, slow.limit


def _success_ratio(subject: ExposedJob) -> Iterator[_Detail]:
    ratio = alert_values.success_ratio(subject.state)
    if subject.shows(alerts.SUCCESS_RATIO_LOW) and ratio is not None:
        labels = subject.alerting_on(Condition.SUCCESS_RATIO_LOW)
        yield names.DETAIL_VALUE, labels, ratio
