"""Violations in words, with values in the unit of the rule."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from afterrun_exporter.core.metric_names import quoted
from afterrun_exporter.core.rules import Rule, Violation
from afterrun_exporter.page.numbers import exactly, in_unit

#: One comparison as `Violation.expected` has it: ``>= 73150 (0.5 * previous)``.
_COMPARISON: Final = re.compile(
    r"(>=|<=|==|!=|>|<) (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)((?: \(.*\))?)", re.ASCII
)


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
    return next((bound.unit for bound in rule.bounds if bound.unit), "") if rule else ""
