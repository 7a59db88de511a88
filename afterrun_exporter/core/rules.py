"""Rules on the reports of a run: parsing, evaluation and explanation.

A rule is a threshold on a metric, ``rows_processed > 0``, or an assertion on a text
field, ``status_text == "done"``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from afterrun_exporter.core import metric_names, text_fields
from afterrun_exporter.core.metric_names import STRING, UNUSABLE
from afterrun_exporter.core.text_fields import Texts
from afterrun_exporter.core.units import (
    format_exactly,
    format_measured,
    format_number,
    parse_quantity,
    rounded,
    unit_of,
)

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}

CONTAINS: Final = "contains"
LACKS: Final = "!contains"

TEXT_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    CONTAINS: operator.contains,
    LACKS: lambda text, part: part not in text,
}

#: Not a reported metric: the run's own duration, in seconds.
DURATION: Final = "duration"

_SUBJECT: Final = rf'{STRING}|[^\s"<>=!{{}}]+(?: ?\{{(?:[^"{{}}]|{STRING})*\}})?'  # name{{label="..."}}
_OPERATOR: Final = r">=|<=|==|!=|>|<|!contains\b|(?<=[\s\"}])(?:contains|between)\b"
_RULE = re.compile(rf"({_SUBJECT}) ?({_OPERATOR}) ?(.*)", re.DOTALL)
_BETWEEN = re.compile(r"(.+?) and (.+)")
_PREVIOUS = re.compile(r"(?:(.+?)\s*\*\s*)?previous")
_STRING = re.compile(STRING)
#: White space, and quoted texts, in which it is kept.
_SPACE = re.compile(rf"({STRING})|\s+", re.DOTALL)
#: A malformed name with a space in it.
_SPACED = re.compile(rf"([^\"<>=!{{}}]* [^\"<>=!{{}}]*?) ?(?:{_OPERATOR}) ?.+")
_FORMS = (
    "METRIC OP VALUE, METRIC OP FACTOR * previous, METRIC between A and B, "
    'FIELD == "TEXT" or FIELD !contains "TEXT"'
)


@dataclass(frozen=True, slots=True)
class Bound:
    """One comparison: the metric must be `op` `value`, or `op` `value` * previous."""

    op: str
    value: float
    of_previous: bool = False
    #: The base unit of the value as it is written: "s", "B", "%" or "".
    unit: str = field(default="", compare=False)

    def threshold(self, previous: float | None) -> float:
        """Return the value to compare with; NaN without a previous value."""
        if not self.of_previous:
            return self.value
        return math.nan if previous is None else self.value * previous

    def __str__(self) -> str:
        factor = format_number(self.value)
        return f"{self.op} {factor}{' * previous' if self.of_previous else ''}"


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion on the text of a field. Case matters."""

    op: str
    text: str

    def holds(self, text: str) -> bool:
        """Return True if *text* satisfies the assertion."""
        return TEXT_OPERATORS[self.op](text, self.text)

    def __str__(self) -> str:
        return f"{self.op} {metric_names.quoted(self.text)}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a metric or a text field of every run."""

    #: Its name in alerts and gauges: the configured name, or the text of the rule.
    name: str
    #: The metric, or the text field.
    metric: str
    #: Bounds of a metric; a rule on text has none.
    bounds: tuple[Bound, ...]
    #: Overrides the job's severity.
    severity: str | None = None
    ignore_missing: bool = False
    #: The assertion on a text field.
    assertion: Assertion | None = None

    @property
    def unit(self) -> str:
        """The unit of the metric: that of its bounds, or else by its name."""
        units = (bound.unit for bound in self.bounds if bound.unit)
        return next(units, "") or unit_by_name(self.metric)

    @property
    def expr(self) -> str:
        """The rule as text: the inverse of `parse_rule`."""
        subject = metric_names.as_rule(self.metric)
        if self.assertion is not None:
            return f"{subject} {self.assertion}"
        if len(self.bounds) == 1:
            return f"{subject} {self.bounds[0]}"
        low, high = (str(bound).partition(" ")[2] for bound in self.bounds)
        return f"{subject} between {low} and {high}"

    def __str__(self) -> str:
        return self.expr


def unit_by_name(metric: str) -> str:
    """Return the base unit of a *metric* with this name, as in `unit_of`."""
    if metric == DURATION or metric.endswith(("_seconds", ".seconds")):
        return "s"
    return "B" if "bytes" in metric else ""


class Violation(Struct, frozen=True, array_like=True, gc=False):
    """A rule that a run violated; value and text are None if it was not reported."""

    rule: str
    metric: str
    value: float | None
    #: The required value or text, in words.
    expected: str
    #: For a rule on text: the text, or the relevant part of it.
    text: str | None = None
    #: The unit of the rule, as in `unit_of`.
    unit: str = ""

    @property
    def actual(self) -> str | None:
        """The violating value or text for people; None if it was not reported."""
        if self.text is not None:
            return metric_names.quoted(self.text)
        if self.value is None:
            return None
        if not self.unit:
            return format_number(self.value)
        value = format_measured(rounded(self.value, self.unit), self.unit)
        if f" {value} " in f" {self.expected} ":
            # Rounded, it may look like the limit.
            return format_exactly(self.value, self.unit)
        return value

    def __str__(self) -> str:
        if (actual := self.actual) is None:
            return f"{self.metric} was not reported, expected {self.expected}"
        return f"{self.metric} was {actual}, expected {self.expected}"


def parse_rule(text: str) -> Rule:
    """Return the rule that is written as *text*, which is its name.

    Raises ValueError with the possible forms if it is malformed.
    """
    text = _SPACE.sub(lambda match: match[1] or " ", text).strip()
    match = _RULE.fullmatch(text)
    if match is None:
        raise _unreadable(text)
    subject, op, operand = match.groups()
    bounds: tuple[Bound, ...] = ()
    assertion = None
    if op in {CONTAINS, LACKS} or (op in TEXT_OPERATORS and operand.startswith('"')):
        assertion = Assertion(op, _text(operand, text))
    elif op == "between":
        bounds = _between(operand, text)
    else:
        bounds = (_bound(op, operand),)
    metric = _metric(subject, text)
    if assertion is not None:
        if metric == DURATION:
            raise ValueError(f"duration is a number, not a text: see rule {text!r}")
        metric = text_fields.field(metric)
    return Rule(text, metric, bounds, assertion=assertion)


def _unreadable(text: str) -> ValueError:
    hint = ""
    if match := _SPACED.fullmatch(text):
        hint = f"; write a name with spaces in double quotes: {metric_names.quoted(match[1].strip())}"
    return ValueError(f"cannot read rule {text!r}: write {_FORMS}{hint}")


def _text(operand: str, text: str) -> str:
    if operand.startswith('"') and '"' not in operand[1:]:
        raise ValueError(
            f"cannot read {operand} in rule {text!r}: the closing quote is missing; in YAML, "
            "write a rule that has # or : in single quotes"
        )
    if not _STRING.fullmatch(operand):
        plain = operand.strip("'\"")
        raise ValueError(
            f"cannot read {operand!r} in rule {text!r}: write one text in double quotes, "
            f"such as {metric_names.quoted(plain)}"
        )
    return metric_names.unquoted(operand)


def _between(operand: str, text: str) -> tuple[Bound, ...]:
    match = _BETWEEN.fullmatch(operand)
    if match is None:
        raise _unreadable(text)
    low, high = match.groups()
    least, most = _bound(">=", low), _bound("<=", high)
    if not (least.of_previous or most.of_previous) and least.value > most.value:
        raise ValueError(f"nothing is between {low} and {high}: swap them")
    return least, most


def _metric(subject: str, text: str) -> str:
    if subject in metric_names.FIELDS:
        raise ValueError(
            f"{subject!r} in rule {text!r} is not a metric: write duration with a "
            "unit, such as duration < 10m, or a metric of this name in double quotes"
        )
    metric = metric_names.read(subject)
    if UNUSABLE in subject and not subject.startswith('"'):
        name = metric_names.quoted(metric)
        raise ValueError(f"rule {text!r} has a {UNUSABLE!r} in it: write {name}")
    for one in text:
        # The text is the name of the rule, unless it has another one.
        if not one.isprintable() or one == UNUSABLE:
            escape = metric_names.quoted(one)[1:-1]
            raise ValueError(
                f"rule {text!r} has a {one!r} in it: write {escape} for it"
            )
    return metric


def _bound(op: str, value: str) -> Bound:
    if value.startswith('"'):
        raise ValueError(
            f"{op} compares numbers, not {value}: write it without quotes, or use "
            "==, !=, contains or !contains"
        )
    try:
        if match := _PREVIOUS.fullmatch(value):
            return Bound(op, parse_quantity(match[1]) if match[1] else 1.0, True)
        return Bound(op, parse_quantity(value), unit=unit_of(value))
    except ValueError as error:
        if op not in TEXT_OPERATORS:
            raise
        plain = metric_names.quoted(value.strip("'\""))
        raise ValueError(
            f"{error}; write a text in double quotes: {op} {plain}"
        ) from None


def measured(
    metrics: Mapping[str, float], duration: float | None
) -> Mapping[str, float]:
    """Return the metrics for rules: those reported, and the duration."""
    return metrics if duration is None else {**metrics, DURATION: duration}


def judge_all(
    rules: Iterable[Rule],
    metrics: Mapping[str, float],
    previous: Mapping[str, float],
    message: str,
    metadata: str,
) -> tuple[Violation, ...]:
    """Return the violations of *rules* by a run, in their order.

    *message* and *metadata* are those recorded of the run.
    """
    violations: tuple[Violation, ...] = ()
    reported = None
    for rule in rules:
        if rule.assertion is None:
            violation = judge(rule, metrics, previous)
        else:
            # Metadata is parsed only if a rule needs it, and once.
            reported = reported or Texts(message, metadata)
            violation = judge_text(rule, rule.assertion, reported)
        if violation:
            violations = (*violations, violation)
    return violations


def judge(
    rule: Rule, metrics: Mapping[str, float], previous: Mapping[str, float]
) -> Violation | None:
    """Return the violation of *rule* by a run with *metrics*, or None.

    Both mappings are results of `measured`. A comparison with a missing previous value
    holds.
    """
    value = metrics.get(rule.metric)
    before = previous.get(rule.metric)
    if value is None:
        if rule.ignore_missing:
            return None
        return Violation(rule.name, rule.metric, None, _expected(rule, before))
    for bound in rule.bounds:
        threshold = bound.threshold(before)
        if not math.isnan(threshold) and not OPERATORS[bound.op](value, threshold):
            return Violation(
                rule.name,
                rule.metric,
                value,
                _expected(rule, before),
                unit=rule.unit,
            )
    return None


def described(rule: Rule, violations: Iterable[Violation]) -> str:
    """Return the violation of *rule* in words."""
    violation = next((one for one in violations if one.rule == rule.name), None)
    return str(violation) if violation else f"the last run violated rule {rule.name!r}"


def judge_text(rule: Rule, assertion: Assertion, reported: Texts) -> Violation | None:
    """Return the violation of *rule* by a run with these texts, or None.

    A run without a message has an empty one, which counts as missing if that is
    ignored.
    """
    text = reported.get(rule.metric)
    if not text and rule.ignore_missing and (text is None or is_message(rule)):
        return None
    if text is None:
        return Violation(rule.name, rule.metric, None, str(assertion))
    if assertion.holds(text):
        return None
    around = assertion.text if assertion.op == LACKS else ""
    actual = text_fields.excerpt(text, around)
    return Violation(rule.name, rule.metric, None, str(assertion), actual)


def is_message(rule: Rule) -> bool:
    """Return True if *rule* is an assertion on the message."""
    return rule.assertion is not None and rule.metric == text_fields.MESSAGE


def _expected(rule: Rule, before: float | None) -> str:
    return " and ".join(_in_words(bound, before, rule.unit) for bound in rule.bounds)


def _in_words(bound: Bound, before: float | None, unit: str) -> str:
    threshold = bound.threshold(before)
    if not bound.of_previous:
        return f"{bound.op} {format_exactly(threshold, unit)}"
    if math.isnan(threshold):
        return str(bound)
    text = format_number(threshold)
    if unit:
        text = format_measured(rounded(threshold, unit), unit)
    return f"{bound.op} {text} ({bound.value:g} * previous)"
