"""Violations in words, with values in the unit of the rule."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC
from typing import Final, NamedTuple

from afterrun_exporter.core.metric_names import quoted
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.rules import Rule, Violation
from afterrun_exporter.core.timestamps import parse_time
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.page.number_format import exactly, in_unit
from afterrun_exporter.page.times import moment, span, zone_of
from afterrun_exporter.storage.store import AlertRecord

#: One comparison as `Violation.expected` has it: ``>= 73150 (0.5 * previous)``.
_COMPARISON: Final = re.compile(
    r"(>=|<=|==|!=|>|<) (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)((?: \(.*\))?)", re.ASCII
)

#: The summary of a violated rule, as `str(Violation)` of earlier versions has it.
_SUMMARY: Final = re.compile(
    r"(\S+) was (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|not reported), expected (.+)",
    re.ASCII | re.DOTALL,
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
#: Conditions whose summaries have times, and no text of the job.
_TIMED: Final = frozenset({Condition.MISSED, Condition.OVERRUNNING})
#: Conditions whose summaries have measured durations, and no text of the job.
_MEASURED: Final = frozenset({Condition.SLOW, Condition.SUCCEEDED})
_DURATION: Final = re.compile(r"\b(?:\d+(?:\.\d+)?(?:ms|[smhd]))+\b", re.ASCII)


class Broken(NamedTuple):
    """A rule that a run broke."""

    metric: str
    value: str
    expected: str
    #: The name of the rule, if it is not its text.
    name: str = ""


def broken_by(rules: Iterable[Rule], violation: Violation) -> Broken:
    """Return *violation* in words; *rules* are those of the job."""
    rule = next((one for one in rules if one.name == violation.rule), None)
    expected = _expected(rule, violation)
    has_name = not violation.rule.startswith(violation.metric)
    return Broken(
        violation.metric,
        _value(rule, violation, expected),
        expected,
        violation.rule if has_name else "",
    )


def in_words(broken: Broken) -> str:
    """Return a sentence without its end: ``rows 0, expected > 0``."""
    return f"{broken.metric} {broken.value}, expected {broken.expected}"


def summary_in_words(job: Job | None, record: AlertRecord, now: float) -> str:
    """Return the summary of an alert, with values in units and times of the job."""
    zone = UTC if job is None else zone_of(job)
    if match := _SUMMARY.fullmatch(record.summary):
        metric, value, expected = match.groups()
        number = None if value == "not reported" else float(value)
        violation = Violation(record.key.rule, metric, number, expected)
        broken = broken_by(job.rules if job else (), violation)
        return f"{metric} was {broken.value}, expected {broken.expected}"

    def time(match: re.Match[str]) -> str:
        then = moment(parse_time(match[0]), now, zone)
        return (then.local or then.utc) if then else match[0]

    if record.key.condition in _TIMED:
        return _TIME.sub(time, record.summary)
    if record.key.condition in _MEASURED:
        return _DURATION.sub(_rounded, record.summary)
    return record.summary


def _rounded(match: re.Match[str]) -> str:
    return span(parse_duration(match[0]))


def _value(rule: Rule | None, violation: Violation, expected: str) -> str:
    if violation.text is not None:
        return quoted(violation.text)
    if violation.value is None:
        return "not reported"
    text = in_unit(violation.value, violation.metric, _unit(rule))
    if f" {text} " in f" {expected} ":
        # Rounded, it may look like the limit.
        return exactly(violation.value, violation.metric, _unit(rule))
    return text


def _expected(rule: Rule | None, violation: Violation) -> str:
    if violation.text is not None or (rule and rule.assertion):
        return violation.expected
    unit, metric = _unit(rule), violation.metric

    def comparison(text: str) -> str:
        if (match := _COMPARISON.fullmatch(text)) is None:
            return text
        op, number, note = match.groups()
        form = in_unit if note else exactly
        return f"{op} {form(float(number), metric, unit)}{note}"

    return " and ".join(map(comparison, violation.expected.split(" and ")))


def _unit(rule: Rule | None) -> str:
    return rule.unit if rule else ""
