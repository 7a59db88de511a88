"""Values that the texts of open alerts give.

Prometheus joins them to an alert once per evaluation. To look each of them up would
take it longer, when thousands of alerts are open, than the evaluation interval.
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

#: Alerts read these: a new outcome comes last.
CODES = {outcome: code for code, outcome in enumerate(Outcome)}


def alert_details(subject: ExposedJob) -> Sequence[Sample]:
    """Return the values that belong to the alerts of a job, while they are open."""
    if subject.calm:
        return ()
    return [
        (subject.own + labels, value)
        for condition, found in (
            (Condition.FAILING, _failing(subject)),
            (Condition.VIOLATED, _violated(subject)),
            (Condition.OVERLAPPING, _overlapping(subject)),
            (Condition.SLOW, _slow(subject)),
            (Condition.SUCCESS_RATIO_LOW, _success_ratio(subject)),
        )
        for labels, value in _labelled(condition, found)
    ]


#: The name of a value, further labels, and the value.
_Detail = tuple[str, str, float]


def _labelled(condition: Condition, found: Iterator[_Detail]) -> Iterator[Sample]:
    of = f",{label(names.CONDITION, condition.value)}"
    for detail, more, value in found:
        yield f"{of},{label(names.DETAIL, detail)}{more}", value


def _failing(subject: ExposedJob) -> Iterator[_Detail]:
    state = subject.state
    if not subject.shows(alerts.FAILING) or state.last_outcome is None:
        return
    yield names.DETAIL_RUNS, "", state.consecutive_failures
    yield names.DETAIL_OUTCOME, "", CODES[state.last_outcome]
    yield names.DETAIL_SUCCESS, "", state.last_success_at or 0.0


def _violated(subject: ExposedJob) -> Iterator[_Detail]:
    for rule in subject.job.rules:
        key = AlertKey(Condition.VIOLATED, rule.name)
        # A rule on text has no bounds: its name says all there is.
        if rule.bounds and subject.shows(key):
            value, bound, threshold = _broken(rule, subject.state)
            told = f",{label(names.RULE, rule.name)}"
            yield names.DETAIL_VALUE, told, value
            told += f",{label(names.OP, bound.op)}"
            # It becomes text, in digits that people read.
            yield names.DETAIL_BOUND, told, float(f"{threshold:.10g}")


def _broken(rule: Rule, state: JobState) -> tuple[float, Bound, float]:
    """Return the value that breaks *rule*, the bound that it breaks, and where that is.

    The value is NaN if the last one known keeps the rule: the run that broke the rule
    did not report the metric, or a later run has healed it.
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
    # Where just one is left, the others have ended since.
    running = len(subject.state.open_runs)
    if subject.shows(alerts.OVERLAPPING) and running > 1:
        yield names.DETAIL_RUNS, "", running


def _slow(subject: ExposedJob) -> Iterator[_Detail]:
    # The duration that is known may be that of a later run, which failed at once or
    # was as fast as ever: hence the comparison.
    took, limit = subject.state.last_duration, subject.state.slow_threshold
    if subject.shows(alerts.SLOW) and took and limit and took > limit:
        yield names.DETAIL_VALUE, "", took
        yield names.DETAIL_LIMIT, "", limit


def _success_ratio(subject: ExposedJob) -> Iterator[_Detail]:
    ratio = subject.state.success_ratio
    if (
        subject.shows(alerts.SUCCESS_RATIO_LOW)
        and ratio
        and not math.isnan(ratio.value)
    ):
        yield names.DETAIL_VALUE, "", ratio.value
