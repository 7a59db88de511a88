"""Rules that are tried before they go live, and as people type them: one a line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, ValidationError

from afterrun_exporter.config import document
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.error_messages import show
from afterrun_exporter.config.problems import findings
from afterrun_exporter.config.schema import Rules
from afterrun_exporter.core.rules import Rule, parse_rule
from afterrun_exporter.errors import Problem

#: Rules that are tried at once.
MOST_RULES: Final = 100

#: An entry of a list, as it is copied from afterrun.yml.
_ENTRY = re.compile(r"\A-\s+")
#: What begins like this is YAML; anything else is a rule.
_YAML: Final = ("{", '"', "'")
#: What needs no quotes in YAML, wherever it stands.
_PLAIN = re.compile(r"[A-Za-z_]([A-Za-z0-9_.<>=!*%+/ -]|:(?=\w))*(?<! )")
_NO_TEXT: Final = frozenset({"true", "false", "null"})


def _few(value: object) -> object:
    # They are counted before they are read, which takes longer.
    if isinstance(value, list) and len(value) > MOST_RULES:
        raise ValueError(_too_many(len(value)))
    return value


def _too_many(count: int) -> str:
    return f"{count:,} rules are too many to try at once: at most {MOST_RULES}"


FewRules = Annotated[
    Rules,
    BeforeValidator(_few),
    Field(json_schema_extra={"maxItems": MOST_RULES}),
]


class _Typed(Spec):
    rules: Rules


def read_rules(text: str) -> tuple[tuple[Rule, ...], tuple[Problem, ...]]:
    """Return the rules in *text*, or everything that is wrong with them, by line.

    A line has a rule as afterrun.yml has it, with or without the dash before it.
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
            entries[number], found = _entry(line)
        except document.NotYAMLError as error:
            found = error.problems
        problems += (Problem(number, one.path, one.message) for one in found)
    given = {"rules": [*entries.values()]}
    try:
        typed = _Typed.model_validate(given)
    except ValidationError as error:
        for finding in findings(_Typed, given, error):
            _, place, *path = finding.path
            number = [*entries][int(place)]
            problems.append(Problem(number, show(tuple(path)), finding.message))
    if problems:
        return (), tuple(sorted(problems))
    return tuple(spec.rule() for spec in typed.rules), ()


def _entry(line: str) -> tuple[object, tuple[Problem, ...]]:
    """Return what *line* says, and what is wrong with that."""
    if not line.startswith(_YAML):
        return line, ()
    try:
        read = document.read(line)
    except document.NotYAMLError:
        if not line.startswith("{"):
            # No text of YAML, but a rule that begins with a name in quotes.
            return line, ()
        raise
    return read.data, read.problems


def rule_line(rule: Rule) -> str:
    """Return *rule* as it is typed; `read_rules` makes the same of it."""
    # As it was written, where it was not called otherwise: "1KiB" and not "1024".
    named = _says(rule.name, rule)
    given = {
        "expr": rule.name if named else rule.expr,
        "name": "" if named else rule.name,
        "severity": rule.severity or "",
        "on_missing": "ignore" if rule.ignore_missing else "",
    }
    told = [f"{key}: {_scalar(value)}" for key, value in given.items() if value]
    return f"{{{', '.join(told)}}}" if len(told) > 1 else given["expr"]


def rules_block(job: str, rules: Sequence[Rule]) -> str:
    """Return what afterrun.yml says of a *job* with these *rules*."""
    told = [rule_line(rule) for rule in rules]
    entries = [one if one.startswith("{") else _scalar(one) for one in told]
    lines = [f"jobs:\n  {_scalar(job)}:\n    rules:{'' if rules else ' []'}"]
    return "\n".join((*lines, *(f"      - {entry}" for entry in entries)))


def _says(text: str, rule: Rule) -> bool:
    try:
        said = parse_rule(text)
    except ValueError:
        return False
    return (said.name, *_judges(said)) == (text, *_judges(rule))


def _judges(rule: Rule) -> tuple[object, ...]:
    return rule.metric, rule.bounds, rule.assertion


def _scalar(text: str) -> str:
    """Return *text* as YAML has it."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    # A text in JSON is one in YAML.
    return json.dumps(text, ensure_ascii=False)
