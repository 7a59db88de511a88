"""What people write in afterrun.yml, key by key, with every default.

These are the words of the file; `loading` makes core Jobs of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from afterrun_exporter.config.document import quote
from afterrun_exporter.conventions import RESERVED_LABELS
from afterrun_exporter.core.rules import Rule, parse_rule
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.units import (
    format_duration,
    parse_bytes,
    parse_duration,
)

#: Severities that the shipped Alertmanager configuration routes.
SEVERITIES: Final = ("critical", "warning", "info")

LONGEST: Final = parse_duration("3660d")
LARGEST_BODY: Final = parse_bytes("1GiB")

_SEVERITY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_URL = re.compile(r"https?://[^\s/]\S*")


@dataclass(frozen=True, slots=True)
class Declared:
    """The label keys that the file declares, for those that its jobs set."""

    labels: tuple[str, ...]


def _given(value: object) -> object:
    if value is None:
        raise ValueError("empty: give it a value or remove the line")
    return value


def _list(value: object) -> object:
    """Take ``rules:`` with nothing below it for an empty list."""
    return () if value is None else tuple(value) if isinstance(value, list) else value


def _mapping(value: object) -> object:
    return {} if value is None else value


def _duration(value: object) -> float:
    _given(value)
    if not isinstance(value, str):
        raise _no_duration(value)
    seconds = parse_duration(value)
    if seconds > LONGEST:
        raise ValueError(f"{quote(value)} is too long: at most ten years")
    return seconds


def _no_duration(value: object) -> ValueError:
    """Return what to say of a number without a unit, or of something worse."""
    if type(value) is int and 0 < value <= LONGEST:
        ways = sorted({f"{value}s", format_duration(value)}, key=len, reverse=True)
        return ValueError(f"{value} is not a duration: write {' or '.join(ways)}")
    return ValueError(
        f"{quote(value)} is not a duration; write it like 90s, 15m, 1h30m or 7d"
    )


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("0s is too short: it must be more than nothing")
    return seconds


def _at_least_a_second(seconds: float) -> float:
    if seconds < 1:
        raise ValueError(f"{format_duration(seconds)} is too short: at least 1s")
    return seconds


def _size(value: object) -> int:
    _given(value)
    if not isinstance(value, str):
        raise _no_size(value)
    try:
        size = parse_bytes(value)
    except (ValueError, OverflowError):
        raise _no_size(value) from None
    if not 1 <= size <= LARGEST_BODY:
        raise ValueError(f"{quote(value)} is out of range: from 1B to 1GiB")
    return size


def _no_size(value: object) -> ValueError:
    hint = f": write {value}B" if type(value) is int and value > 0 else ""
    return ValueError(
        f"{quote(value)} is not a size{hint or '; write it like 64KiB, 1MiB or 10MB'}"
    )


def _printable(text: str) -> str:
    if not all(line.isprintable() for line in text.replace("\t", " ").split("\n")):
        raise ValueError(f"{quote(text)} has characters that do not print")
    return text


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{quote(text)} is not one line of printable text")
    return text


def _severity(text: str) -> str:
    if not _SEVERITY.fullmatch(text):
        raise ValueError(
            f"{quote(text)} is not a severity: it starts with a letter and goes on "
            "with letters, digits, _ or -"
        )
    if text.lower() == "none":
        raise ValueError(
            "'none' is reserved for alerts that notify nobody; "
            "for a job that needs no alerts write enabled: false"
        )
    near = difflib.get_close_matches(text.lower(), SEVERITIES, n=1)
    if near and text not in SEVERITIES:
        raise ValueError(f"unknown severity {quote(text)}; did you mean {near[0]!r}?")
    return text


def _label_key(text: str) -> str:
    if not _LABEL.fullmatch(text) or text.startswith("__"):
        raise ValueError(
            f"{quote(text)} is not a label key: it starts with a letter or a single _ "
            "and goes on with letters, digits or _"
        )
    if text in RESERVED_LABELS:
        raise ValueError(f"label {text!r} is reserved: choose another key")
    return text


def _declared(key: str, info: ValidationInfo) -> str:
    assert isinstance(info.context, Declared)  # noqa: S101 - a mistake of ours
    if key not in info.context.labels:
        near = difflib.get_close_matches(key, info.context.labels, n=1)
        hint = (
            f"; did you mean {near[0]!r}?" if near else ": add it to labels: at the top"
        )
        raise ValueError(f"label {quote(key)} is not declared{hint}")
    return key


def _url(text: str) -> str:
    if not _URL.fullmatch(text) or not text.isprintable():
        raise ValueError(f"{quote(text)} is not a URL; write it like https://host/page")
    return text


@lru_cache(maxsize=4096)
def _zone(text: str) -> str:
    parse_cron("@daily", text)
    return text


@lru_cache(maxsize=4096)
def _cron(text: str) -> str:
    parse_cron(text, "UTC")
    return text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Rule:
    return parse_rule(text)


def _rule(value: object) -> Rule:
    if not isinstance(value, str):
        raise _no_rule(value)
    return _parsed(value)


def _no_rule(value: object) -> ValueError:
    return ValueError(f"expected a rule like rows_processed > 0, not {quote(value)}")


def _refuse_repeats(names: Iterable[str], what: str) -> None:
    """Raise for each name that was there before, at its place in the list."""
    seen: set[str] = set()
    wrong: list[InitErrorDetails] = []
    for position, name in enumerate(names):
        if name in seen:
            text = f"{what} {quote(name)} is there twice"
            error = PydanticCustomError("repeated", "{text}", {"text": text})
            wrong.append({"type": error, "loc": (position,), "input": name})
        seen.add(name)
    if wrong:
        raise ValidationError.from_exception_data(what, wrong)


def _distinct_labels(keys: tuple[str, ...]) -> tuple[str, ...]:
    _refuse_repeats(keys, "label")
    return keys


def _distinct_rules(rules: tuple[RuleSpec, ...]) -> tuple[RuleSpec, ...]:
    _refuse_repeats((spec.rule().name for spec in rules), "rule")
    return rules


Duration = Annotated[float, BeforeValidator(_duration)]
Span = Annotated[Duration, AfterValidator(_above_zero)]
Period = Annotated[Duration, AfterValidator(_at_least_a_second)]
Size = Annotated[int, BeforeValidator(_size)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, AfterValidator(_printable)]
Line = Annotated[str, AfterValidator(_one_line)]
Url = Annotated[str, AfterValidator(_url)]
Severity = Annotated[str, AfterValidator(_severity)]
Zone = Annotated[str, AfterValidator(_zone)]
CronText = Annotated[str, AfterValidator(_cron)]
RuleText = Annotated[Rule, PlainValidator(_rule)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
DeclaredKey = Annotated[str, AfterValidator(_declared)]

#: For what may be left out but not left empty.
Given = BeforeValidator(_given)
ListOf = BeforeValidator(_list)
MappingOf = BeforeValidator(_mapping)


class Spec(BaseModel):
    """A section of the file: no key it does not know, no value it must guess."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_all_defaults(cls, value: Any) -> Any:
        return _mapping(value)


class RuleSpec(Spec):
    """One of ``rules:``; a plain string is its ``expr``."""

    expr: RuleText
    name: Annotated[Line | None, Given] = None
    severity: Annotated[Severity | None, Given] = None
    on_missing: Literal["violate", "ignore"] = "violate"

    @model_validator(mode="before")
    @classmethod
    def _text_is_expr(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping) else {"expr": value}

    def rule(self) -> Rule:
        return replace(
            self.expr,
            name=self.name or self.expr.name,
            severity=self.severity,
            ignore_missing=self.on_missing == "ignore",
        )


class AlertsSpec(Spec):
    """``alerts:`` of a job."""

    after_failures: Count = 1


class JobSpec(Spec):
    """One of ``jobs:``. What is None comes from ``defaults:``."""

    description: Text = ""
    schedule: Annotated[CronText | None, Given] = None
    every: Annotated[Period | None, Given] = None
    timezone: Annotated[Zone | None, Given] = None
    grace: Annotated[Span | None, Given] = None
    early: Annotated[Duration | None, Given] = None
    max_runtime: Annotated[Span | None, Given] = None
    severity: Annotated[Severity | None, Given] = None
    labels: Annotated[dict[DeclaredKey, Text], MappingOf] = {}
    project: Text = ""
    tags: Annotated[tuple[Line, ...], ListOf] = ()
    runbook_url: Annotated[Url | None, Given] = None
    enabled: bool = True
    rules: Annotated[tuple[RuleSpec, ...], ListOf, AfterValidator(_distinct_rules)] = ()
    alerts: AlertsSpec = AlertsSpec()


class DefaultsSpec(Spec):
    """``defaults:`` for what a job leaves out, and for jobs not in the file."""

    grace: Span = parse_duration("5m")
    early: Duration = parse_duration("1m")
    severity: Severity = "warning"
    timezone: Zone = "UTC"
    max_runtime: Annotated[Span | None, Given] = None


class LimitsSpec(Spec):
    """``limits:`` on what jobs may make us keep."""

    jobs: Count = 100_000
    metrics_per_job: Count = 50
    body_bytes: Size = parse_bytes("1MiB")


class RetentionSpec(Spec):
    """``retention:`` of finished runs."""

    runs: Span = parse_duration("30d")
    runs_per_job: Count = 1000


class FileSpec(Spec):
    """The whole of afterrun.yml."""

    dedup_window: Duration = parse_duration("10s")
    min_visible: Duration = parse_duration("1m")
    unknown_jobs: Literal["accept", "reject"] = "accept"
    limits: LimitsSpec = LimitsSpec()
    retention: RetentionSpec = RetentionSpec()
    settle: Duration = parse_duration("2m")
    labels: Annotated[
        tuple[LabelKey, ...], ListOf, AfterValidator(_distinct_labels)
    ] = ()
    defaults: DefaultsSpec = DefaultsSpec()
    #: Each one a JobSpec. They are read one by one: there may be 100,000.
    jobs: Annotated[dict[str, Any], MappingOf] = {}
