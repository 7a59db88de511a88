"""Threshold rules, ``rows_processed > 0``: parse, judge, explain."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from afterrun_exporter.core.units import format_number, parse_quantity

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}

#: Not a reported metric: the run's own duration, in seconds.
DURATION: Final = "duration"

METRIC_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")

_COMPARISON = re.compile(r"(\S+?)\s*(>=|<=|==|!=|>|<)\s*(.+)")
_BETWEEN = re.compile(r"(\S+)\s+between\s+(.+?)\s+and\s+(.+)")
_PREVIOUS = re.compile(r"(?:(.+?)\s*\*\s*)?previous")
_FORMS = "METRIC OP VALUE, METRIC OP FACTOR * previous, or METRIC between A and B"


@dataclass(frozen=True, slots=True)
class Bound:
    """One comparison: the metric must be `op` `value`, or `op` `value` * previous."""

    op: str
    value: float
    of_previous: bool = False

    def threshold(self, previous: float | None) -> float:
        """Return what to compare with; NaN while there is no previous value."""
        if not self.of_previous:
            return self.value
        return math.nan if previous is None else self.value * previous

    def __str__(self) -> str:
        factor = format_number(self.value)
        return f"{self.op} {factor}{' * previous' if self.of_previous else ''}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a metric of every run must satisfy."""

    #: What alerts and gauges call it: its name, else the text as written.
    name: str
    metric: str
    bounds: tuple[Bound, ...]
    #: In place of the job's.
    severity: str | None = None
    ignore_missing: bool = False

    @property
    def expr(self) -> str:
        """The rule as people write it: `parse_rule` makes the same bounds of it."""
        if len(self.bounds) == 1:
            return f"{self.metric} {self.bounds[0]}"
        low, high = (str(bound).partition(" ")[2] for bound in self.bounds)
        return f"{self.metric} between {low} and {high}"


class Violation(Struct, frozen=True, array_like=True, gc=False):
    """A rule that a run broke; the value is None if it was not reported."""

    rule: str
    metric: str
    value: float | None
    #: What the value should have been, in words.
    expected: str

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.metric} was not reported, expected {self.expected}"
        return (
            f"{self.metric} was {format_number(self.value)}, expected {self.expected}"
        )


def parse_rule(
    text: str,
    *,
    name: str | None = None,
    severity: str | None = None,
    ignore_missing: bool = False,
) -> Rule:
    """Return the rule that *text* stands for.

    Raises ValueError, with the forms a rule can have, when it stands for none.
    """
    text = " ".join(text.split())
    if match := _BETWEEN.fullmatch(text):
        metric, low, high = match.groups()
        least, most = _bound(">=", low), _bound("<=", high)
        fixed = not (least.of_previous or most.of_previous)
        if fixed and least.value > most.value:
            raise ValueError(f"nothing is between {low} and {high}: swap them")
        bounds = [least, most]
    elif match := _COMPARISON.fullmatch(text):
        metric, op, value = match.groups()
        bounds = [_bound(op, value)]
    else:
        raise ValueError(f"cannot read rule {text!r}: write {_FORMS}")
    _check_metric(metric, text)
    return Rule(name or text, metric, tuple(bounds), severity, ignore_missing)


def _check_metric(metric: str, text: str) -> None:
    if metric in {"duration_ms", "duration_seconds"}:
        raise ValueError(
            f"{metric!r} in rule {text!r} is not a metric: write duration with a "
            "unit, such as duration < 10m"
        )
    if not METRIC_NAME.fullmatch(metric):
        raise ValueError(
            f"{metric!r} in rule {text!r} is not a metric name: it starts with a "
            "letter or _ and goes on with letters, digits, _ . : or -"
        )


def _bound(op: str, value: str) -> Bound:
    if match := _PREVIOUS.fullmatch(value):
        return Bound(op, parse_quantity(match[1]) if match[1] else 1.0, True)
    return Bound(op, parse_quantity(value))


def measured(
    metrics: Mapping[str, float], duration: float | None
) -> Mapping[str, float]:
    """Return what rules judge a run by that reported *metrics* and took so long."""
    return metrics if duration is None else {**metrics, DURATION: duration}


def judge_all(
    rules: Iterable[Rule], metrics: Mapping[str, float], previous: Mapping[str, float]
) -> tuple[Violation, ...]:
    """Return how a run broke *rules*, in their order: see `judge`."""
    found: tuple[Violation, ...] = ()
    for rule in rules:
        if violation := judge(rule, metrics, previous):
            found = (*found, violation)
    return found


def judge(
    rule: Rule, metrics: Mapping[str, float], previous: Mapping[str, float]
) -> Violation | None:
    """Return how a run that reported *metrics* broke *rule*, or None.

    Both mappings are what was `measured` of a run.
    A comparison with a previous value that does not exist holds.
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
            return Violation(rule.name, rule.metric, value, _expected(rule, before))
    return None


def _expected(rule: Rule, before: float | None) -> str:
    return " and ".join(_in_words(bound, before) for bound in rule.bounds)


def _in_words(bound: Bound, before: float | None) -> str:
    threshold = bound.threshold(before)
    if not bound.of_previous or math.isnan(threshold):
        return str(bound)
    return f"{bound.op} {format_number(threshold)} ({bound.value:g} * previous)"
