"""Rules as text for backtests, one per line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, ValidationError

from afterrun_exporter.config import document
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.schema import Rules
from afterrun_exporter.core.rules import Rule, parse_rule
from afterrun_exporter.errors import Problem
from afterrun_exporter.validation_messages import findings, show

#: The maximum number of rules in a backtest.
MOST_RULES: Final = 100

#: The beginning of a list entry, as copied from afterrun.yml.
_ENTRY = re.compile(r"\A-\s+")
#: Prefixes of YAML; other lines are plain rules.
_YAML: Final = ("{", '"', "'")
#: Text that needs no quotes in YAML.
_PLAIN = re.compile(r"[A-Za-z_]([A-Za-z0-9_.<>=!*%+/ -]|:(?=\w))*(?<! )")
_NO_TEXT: Final = frozenset({"true", "false", "null"})


def _few(value: object) -> object:
    # Counted before they are parsed, which takes longer.
    if isinstance(value, list) and len(value) > MOST_RULES:
        raise ValueError(_too_many(len(value)))
    return value


def _too_many(count: int) -> str:
    return f"{count:,} rules are too many for a backtest: at most {MOST_RULES}"


FewRules = Annotated[
    Rules,
    BeforeValidator(_few),
    Field(json_schema_extra={"maxItems": MOST_RULES}),
]


class _Typed(Spec):
    rules: Rules


def read_rules(text: str) -> tuple[tuple[Rule, ...], tuple[Problem, ...]]:
    """Return the rules in *text*, or all problems, by line.

    A line is a rule as in afterrun.yml, with or without the leading dash.
    """
    lines = {
        number: _ENTRY.sub("", line, count=1)
        for number, line in enumerate(map(str.strip, text.splitlines()), 1)
        if line
    }
    if len(lines) > MOST_RULES:
        return (), (Problem(0, "", _too_many(len(lines))),)
    problems: list[Problem] = []
    entries: dict[int, object] = {}
    for number, line in lines.items():
        try:
            entries[number], line_problems = _entry(line)
        except document.NotYAMLError as error:
            line_problems = error.problems
        problems += (Problem(number, one.path, one.message) for one in line_problems)
    data = {"rules": [*entries.values()]}
    try:
        typed = _Typed.model_validate(data)
    except ValidationError as error:
        for finding in findings(_Typed, data, error):
            _, place, *path = finding.path
            number = [*entries][int(place)]
            problems.append(Problem(number, show(tuple(path)), finding.message))
    if problems:
        return (), tuple(sorted(problems))
    return tuple(spec.rule() for spec in typed.rules), ()


def _entry(line: str) -> tuple[object, tuple[Problem, ...]]:
    """Return the rule in *line* and its problems."""
    if not line.startswith(_YAML):
        return line, ()
    try:
        read = document.read(line)
    except document.NotYAMLError:
        if not line.startswith("{"):
            # Not YAML, but a rule that begins with a quoted name.
            return line, ()
        raise
    return read.data, read.problems


def rule_line(rule: Rule) -> str:
    """Return the text of *rule*, which `read_rules` parses to the same rule."""
    # The original text if the rule has no other name: "1KiB" and not "1024".
    named = _is_text_of(rule.name, rule)
    keys = {
        "expr": rule.name if named else rule.expr,
        "name": "" if named else rule.name,
        "severity": rule.severity or "",
        "on_missing": "ignore" if rule.ignore_missing else "",
    }
    parts = [f"{key}: {_scalar(value)}" for key, value in keys.items() if value]
    return f"{{{', '.join(parts)}}}" if len(parts) > 1 else keys["expr"]


def rules_block(job: str, rules: Sequence[Rule]) -> str:
    """Return the section of afterrun.yml for *job* with these *rules*."""
    parts = [rule_line(rule) for rule in rules]
    entries = [one if one.startswith("{") else _scalar(one) for one in parts]
    lines = [f"jobs:\n  {_scalar(job)}:\n    rules:{'' if rules else ' []'}"]
    return "\n".join((*lines, *(f"      - {entry}" for entry in entries)))


def _is_text_of(text: str, rule: Rule) -> bool:
    try:
        parsed = parse_rule(text)
    except ValueError:
        return False
    return (parsed.name, *_condition(parsed)) == (text, *_condition(rule))


def _condition(rule: Rule) -> tuple[object, ...]:
    return rule.metric, rule.bounds, rule.assertion


def _scalar(text: str) -> str:
    """Return *text* as a YAML scalar."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    # A JSON string is valid YAML.
    return json.dumps(text, ensure_ascii=False)
