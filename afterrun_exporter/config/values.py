"""Types of values in afterrun.yml, with validation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from afterrun_exporter.conventions import RESERVED_LABELS, SEVERITIES
from afterrun_exporter.core.crontab import check_zone
from afterrun_exporter.core.did_you_mean import did_you_mean, unknown_value
from afterrun_exporter.core.model import JOB_NAME
from afterrun_exporter.core.patterns import compiled
from afterrun_exporter.core.rules import Rule, parse_rule
from afterrun_exporter.core.units import (
    format_duration,
    parse_bytes,
    parse_duration,
    parse_quantity,
    ways,
)
from afterrun_exporter.validation_messages import EMPTY, quote

T = TypeVar("T")

LONGEST: Final = parse_duration("3660d")
#: The maximum length of a rule in characters.
LONGEST_RULE: Final = 1000
LARGEST_BODY: Final = parse_bytes("1GiB")

_SEVERITY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_URL = re.compile(r"https?://[^\s/]\S*")


@dataclass(frozen=True, slots=True)
class Declared:
    """The label keys that the file declares, to validate those of jobs."""

    labels: tuple[str, ...]


def _not_empty(value: object) -> object:
    if value is None:
        raise ValueError(EMPTY)
    return value


def _list(value: object) -> object:
    """Return an empty list for a key without a value, such as ``rules:``."""
    return () if value is None else tuple(value) if isinstance(value, list) else value


def mapping(value: object) -> object:
    """Return an empty mapping for a key without a value, such as ``limits:``."""
    return {} if value is None else value


def _duration(value: object) -> float:
    _not_empty(value)
    if not isinstance(value, str):
        raise no_duration(value)
    seconds = parse_duration(value)
    if seconds > LONGEST:
        raise ValueError(f"{quote(value)} is too long: at most ten years")
    return seconds


def no_duration(value: object) -> ValueError:
    """Return the error for a value that is not a duration, such as a plain number."""
    if type(value) is int and 0 < value <= LONGEST:
        return ValueError(
            f"{value} is not a duration: write {' or '.join(ways(value))}"
        )
    return ValueError(
        f"{quote(value)} is not a duration; write it like 90s, 15m, 1h30m or 7d"
    )


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("0s is too short: it must be more than 0s")
    return seconds


def _at_least_a_second(seconds: float) -> float:
    if seconds < 1:
        raise ValueError(f"{format_duration(seconds)} is too short: at least 1s")
    return seconds


def _size(value: object) -> int:
    _not_empty(value)
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
        raise ValueError(f"{quote(text)} contains characters that cannot be printed")
    return text


def _one_line(text: str) -> str:
    # Prometheus cannot evaluate an expression with a replacement character in it.
    if not text.strip() or not text.isprintable() or "\ufffd" in text:
        # Not quoted, because it may be a secret instead of a file name.
        raise ValueError("is not one line of printable text")
    return text


def severity(text: str) -> str:
    if not _SEVERITY.fullmatch(text):
        raise ValueError(
            f"{quote(text)} is not a severity: it starts with a letter and goes on "
            "with letters, digits, _ or -"
        )
    if text.lower() == "none":
        raise ValueError(
            "'none' is reserved for alerts without notifications; "
            "for a job without alerts write enabled: false"
        )
    if text in SEVERITIES:
        return text
    if hint := did_you_mean(text.lower(), SEVERITIES):
        raise ValueError(f"unknown severity {quote(text)}{hint}")
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
    labels = info.context.labels if info.context else ()
    if key not in labels:
        hint = did_you_mean(key, labels) or ": add it to labels: at the top"
        raise ValueError(f"label {quote(key)} is not declared{hint}")
    return key


def _url(text: str) -> str:
    if not _URL.fullmatch(text) or not text.isprintable():
        raise ValueError(f"{quote(text)} is not a URL; write it like https://host/page")
    return text


@lru_cache(maxsize=4096)
def _zone(text: str) -> str:
    check_zone(text)
    return text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Rule:
    return parse_rule(text)


def _rule(value: object) -> Rule:
    if not isinstance(value, str):
        raise ValueError(f"expected a rule like rows_processed > 0, not {quote(value)}")
    if len(value) > LONGEST_RULE:
        raise ValueError(
            f"{quote(value)} is too long for a rule: at most {LONGEST_RULE} characters"
        )
    return _parsed(value)


def refuse_repeats(names: Iterable[str], what: str) -> None:
    """Raise ValidationError with each repeated name and its position."""
    previous: set[str] = set()
    wrong: list[InitErrorDetails] = []
    for position, name in enumerate(names):
        if name in previous:
            text = f"{what} {quote(name)} is listed twice"
            error = PydanticCustomError("repeated", "{text}", {"text": text})
            wrong.append({"type": error, "loc": (position,), "input": name})
        previous.add(name)
    if wrong:
        raise ValidationError.from_exception_data(what, wrong)


def distinct(what: str, name: Callable[[Any], str] = str) -> AfterValidator:
    """Return a validator that refuses two items of the same *name*."""

    def check(items: tuple[T, ...]) -> tuple[T, ...]:
        refuse_repeats(map(name, items), what)
        return items

    return AfterValidator(check)


def one_of(what: str, choices: Collection[str]) -> AfterValidator:
    """Return a validator that refuses text which is none of *choices*."""

    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(unknown_value(what, text, [*choices]))
        return text

    return AfterValidator(check)


def _share(value: object) -> float:
    _not_empty(value)
    share: float | None = None
    if isinstance(value, str) and value.strip().endswith("%"):
        with suppress(ValueError):
            share = parse_quantity(value)
    elif isinstance(value, float):
        share = value
    if share is None or not 0 < share <= 1:
        raise ValueError(
            f"{quote(value)} is not a share; write it like 80% or 0.8: more than "
            "0, at most 100%"
        )
    return share


def _factor(value: object) -> float:
    _not_empty(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        factor = float(value)
        if 1 < factor < math.inf:
            return factor
    raise ValueError(f"{quote(value)} is not a factor: a number above 1, such as 2")


def _pattern(text: str) -> str:
    if not text.isprintable():
        raise ValueError(
            f"{quote(text)} is not a regular expression: it contains characters that cannot "
            "be printed"
        )
    try:
        compiled(text)
    except ValueError as error:
        raise ValueError(
            f"{quote(text)} is not a regular expression: {error}"
        ) from None
    return text


def _job_name(text: str) -> str:
    if not JOB_NAME.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a job name")
    return text


Duration = Annotated[float, BeforeValidator(_duration)]
PositiveDuration = Annotated[Duration, AfterValidator(_above_zero)]
Period = Annotated[Duration, AfterValidator(_at_least_a_second)]
Size = Annotated[int, BeforeValidator(_size)]
Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, AfterValidator(_printable)]
Line = Annotated[str, AfterValidator(_one_line)]
Pattern = Annotated[str, AfterValidator(_pattern)]
JobName = Annotated[str, AfterValidator(_job_name)]
Share = Annotated[float, BeforeValidator(_share)]
Factor = Annotated[float, BeforeValidator(_factor)]
Url = Annotated[str, AfterValidator(_url)]
Severity = Annotated[str, AfterValidator(severity)]
Zone = Annotated[str, AfterValidator(_zone)]
RuleText = Annotated[
    Rule,
    PlainValidator(
        _rule,
        json_schema_input_type=Annotated[str, Field(max_length=LONGEST_RULE)],
    ),
]
LabelKey = Annotated[str, AfterValidator(_label_key)]
DeclaredKey = Annotated[str, AfterValidator(_declared)]

#: Validator of optional keys that must have a value if they are present.
NotEmpty = BeforeValidator(_not_empty)
#: Validators of sections that may be empty, such as with all entries commented out.
ListOf = BeforeValidator(_list)
MappingOf = BeforeValidator(mapping)
DistinctKeys = distinct("label")
