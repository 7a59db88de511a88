"""Readers of the single fields that claim an outcome."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

from afterrun_exporter.core.model import FAILURES, Kind, Outcome
from afterrun_exporter.ingest.fields import MAX_INT, exit_status
from afterrun_exporter.ingest.vocabulary import (
    OFFERED,
    Meaning,
    Sense,
    hint,
    meaning,
    meaning_of_event,
    meaning_of_prose,
    words,
)

#: The most items of a list that are checked; a longer list counts as errors.
MAX_ERRORS: Final = 1_000
#: The most hints at misspelt words in one report, because the search takes time.
MAX_HINTS: Final = 5
#: The deepest nesting in which errors are searched.
MAX_NESTED_ERROR: Final = 4

_TRUE: Final = words("true yes y on 1 t")
_FALSE: Final = words("false no n off 0 f")
#: Texts that mean "no error", in lower case.
_NO_ERROR: Final = _FALSE | {
    *("", "none", "null", "nil", "n/a", "na", "-", "undefined", "nothing", "never"),
    *("no error", "no errors", "without errors", "{}", "[]", "unknown_failure"),
}
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?", re.ASCII)

_DATE: Final = re.compile(
    r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.,+Z -]*)?$", re.ASCII
)
#: Texts such as "no errors found" and "0/12".
_NO_ERRORS: Final = re.compile(
    r"(no|zero) (error|failure|problem|issue)s?\b|0+(?![0-9.])", re.IGNORECASE
)
_ZEROS: Final = (0, "0")

OK: Final = (Kind.FINISH, Outcome.OK)
FAIL: Final = (Kind.FINISH, Outcome.FAIL)


class Weight(IntEnum):
    """The weight of a claim against other claims."""

    #: A count or the level of a log line: only of a run that has ended.
    HINT = 1
    #: An exit code: an outcome that is not ok explains it.
    EXIT = 2
    #: A flag or an error text: a word for a failure explains it.
    SIGN = 3
    #: A word for an outcome.
    WORD = 4


class Claim(NamedTuple):
    """The outcome that one field claims."""

    place: str
    value: object
    meaning: Meaning
    weight: Weight

    def __str__(self) -> str:
        return f"{self.place}: {format_value(self.value)}"


class Unreadable(NamedTuple):
    """A claim that cannot be read."""

    place: str
    problem: str
    #: True if it counts even if other claims can be read.
    binding: bool


@dataclass(slots=True)
class Claims:
    """The claims of a report, while it is read."""

    claims: list[Claim] = dataclasses.field(default_factory=list)
    unreadable: list[Unreadable] = dataclasses.field(default_factory=list)
    names: set[str] = dataclasses.field(default_factory=set)
    exit_code: int | None = None
    count: int = 0


@dataclass(slots=True, frozen=True)
class Field:
    """A field whose name has a meaning, and its place."""

    reading: Claims
    place: str
    value: Any
    sense: Sense
    depth: int
    #: True if its object has other counts.
    counts: bool

    def read(self) -> bool:
        """Read this field; return True if it is a claim."""
        before = len(self.reading.claims) + len(self.reading.unreadable)
        READERS[self.sense](self)
        return len(self.reading.claims) + len(self.reading.unreadable) > before

    def claim(self, meaning_: Meaning, weight: Weight) -> None:
        self.reading.claims.append(Claim(self.place, self.value, meaning_, weight))

    def cannot_be_read(self, problem: str, binding: bool = True) -> None:
        self.reading.unreadable.append(
            Unreadable(self.place, problem, binding and self.depth == 0)
        )


def _read_status(one: Field) -> None:
    """Read a word for an outcome."""
    text = one.value
    if isinstance(text, bool):
        one.claim(OK if text else FAIL, Weight.WORD)
        return
    if isinstance(text, dict) and text:
        _read_state_object(one, text)
        return
    if isinstance(text, list) and one.sense is not Sense.STATUS:
        return
    word_meaning = _meaning_of(text) if isinstance(text, str) else None
    if one.sense is Sense.OTHER_STATE and word_meaning is not None:
        if word_meaning[1] in FAILURES:
            one.claim(word_meaning, Weight.WORD)
    elif word_meaning is not None:
        one.claim(word_meaning, Weight.WORD)
    elif one.sense is Sense.STATUS or (one.sense is Sense.STATE and text != ""):
        binding = one.sense is Sense.STATUS
        near = _hint(text if len(one.reading.unreadable) < MAX_HINTS else "")
        one.cannot_be_read(f"unknown status {format_value(text)}; {near}", binding)


def _read_state_object(one: Field, state: Mapping[str, Any]) -> None:
    """Read ``{"state": {"type": "FAILED"}}``; its fields are read as those of any object."""
    for name in ("type", "name", "value"):
        word = state.get(name)
        if isinstance(word, str) and (word_meaning := _meaning_of(word)) is not None:
            one.reading.claims.append(
                Claim(f"{one.place}.{name}", word, word_meaning, Weight.WORD)
            )
    if one.sense is Sense.STATUS and one.depth == 0:
        one.cannot_be_read("expected a word for an outcome", binding=False)


def _meaning_of(text: str) -> Meaning | None:
    if (word_meaning := meaning(text) or meaning_of_prose(text)) is not None:
        return word_meaning
    word = text.strip().lower()
    return OK if word in _TRUE - {"1"} else FAIL if word in _FALSE - {"0"} else None


def _hint(status: object) -> str:
    near = hint(status) if isinstance(status, str) and status.strip() else None
    return f"did you mean {near!r}?" if near else f"use one of {OFFERED}"


def _read_event(one: Field) -> None:
    # In lists and nested objects, events are subscriptions.
    if isinstance(one.value, str) and one.depth < 2 and "[" not in one.place:
        word_meaning = meaning_of_event(one.value)
        if word_meaning is not None:
            one.claim(word_meaning, Weight.WORD)


def _read_success(one: Field) -> None:
    """Read a flag, or the number of successes."""
    text = one.value
    if isinstance(text, dict | list):
        return
    number = _number(text)
    if number is not None:
        if one.sense is Sense.PART and not isinstance(text, bool):
            return
        if number >= 1:
            one.claim(OK, Weight.SIGN)
        elif number:
            one.cannot_be_read(f"{format_value(text)} is neither true nor false")
        elif text is False or one.sense is Sense.SUCCESS or not one.counts:
            one.claim(FAIL, Weight.SIGN)
        return
    word_meaning = _meaning_of(text) if isinstance(text, str) else None
    if word_meaning is not None:
        one.claim(
            word_meaning,
            Weight.SIGN
            if word_meaning[1] in {Outcome.OK, Outcome.FAIL}
            else Weight.WORD,
        )
    elif one.sense is not Sense.PART:
        one.cannot_be_read(f"{format_value(text)} is neither true nor false")


def _read_complete(one: Field) -> None:
    if one.value is False or (
        isinstance(one.value, str) and one.value.strip().lower() in _FALSE - {"0"}
    ):
        one.claim(FAIL, Weight.HINT)


def _read_error(one: Field) -> None:
    """Read an error, which claims a failure unless it is empty."""
    value = one.value
    number = _number(value)
    if isinstance(value, bool) or number is None:
        if _is_error(value, 0) and not _is_time_of_last(one):
            one.claim(FAIL, Weight.SIGN)
    elif number and one.sense is Sense.ERROR:
        one.claim(FAIL, Weight.HINT)


def _is_time_of_last(one: Field) -> bool:
    """Return True for the date of the last failure, which is no failure of this run."""
    name = one.place.rpartition(".")[2].lower()
    return (
        "last" in name
        and isinstance(one.value, str)
        and _DATE.match(one.value) is not None
    )


def _is_error(value: object, depth: int) -> bool:
    """Return True unless *value* means "no error"."""
    if isinstance(value, str):
        text = value[:40].strip().lower()
        word_meaning = meaning(text)
        if text in _NO_ERROR or _NO_ERRORS.match(text) is not None:
            return False
        return word_meaning is None or word_meaning != OK
    if isinstance(value, dict | list) and depth < MAX_NESTED_ERROR:
        inner = value.values() if isinstance(value, dict) else value
        return len(inner) > MAX_ERRORS or any(
            _is_error(one, depth + 1) for one in inner
        )
    return bool(value)


def _read_early_end(one: Field) -> None:
    """Read a flag for a run that ended early."""
    text = one.value
    # `timeout: 1` is a setting.
    flag = one.sense is Sense.TIMEOUT and "timeout" not in one.place.lower()
    if flag and _number(text) == 1:
        text = True
    if text is True or (
        isinstance(text, str) and text.strip().lower() in _TRUE - {"1"}
    ):
        one.claim((Kind.FINISH, Outcome(one.sense.name.lower())), Weight.SIGN)


def _read_exit_code(one: Field) -> None:
    value = one.value
    if isinstance(value, dict):
        if "exit" not in one.place.lower():
            return  # the return value of a function
        value = [each for each in value.values() if _number(each) is not None]
    if isinstance(value, list):
        # The first exit code of a pipe that is not 0.
        value = next((each for each in value if each not in _ZEROS), 0)
    code = exit_status(value)
    if not isinstance(code, int) or isinstance(code, bool) or abs(code) > MAX_INT:
        one.cannot_be_read(f"{value!r:.40} is not an exit status; send a number")
        return
    one.claim(FAIL if code else OK, Weight.EXIT)
    if one.depth == 0 and not one.reading.exit_code:
        one.reading.exit_code = code


def _read_http_status(one: Field) -> None:
    number = _number(one.value)
    if number is not None and number and not 100 <= number < 400:
        one.claim(FAIL, Weight.SIGN)


def _read_signal(one: Field) -> None:
    if isinstance(one.value, str) and one.value[:3].upper() == "SIG":
        one.claim(FAIL, Weight.EXIT)


def _read_level(one: Field) -> None:
    word_meaning = meaning(one.value) if isinstance(one.value, str) else None
    if word_meaning == FAIL:
        one.claim(FAIL, Weight.HINT)


def _number(value: object) -> float | None:
    """Return *value* as a number; None if it is none."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, int) and abs(value) > MAX_INT:
        return math.inf if value > 0 else -math.inf
    return float(value) if isinstance(value, int | float) else None


def format_value(value: object) -> str:
    return f"{value!r:.40}"


#: Meanings of fields that may be about something else.
LOOSE: Final = frozenset(
    {Sense.PHASE, Sense.EVENT, Sense.OTHER_STATE, Sense.PART, Sense.ERROR_TEXT}
)
#: Meanings of fields whose value may be an object with its own claims.
NESTING: Final = frozenset(
    {
        *(Sense.STATUS, Sense.STATE, Sense.PHASE, Sense.EVENT, Sense.OTHER_STATE),
        *(Sense.SUCCESS, Sense.SUCCESSES, Sense.HTTP_STATUS),
    }
)

READERS: Final[Mapping[Sense, Callable[[Field], None]]] = {
    Sense.STATUS: _read_status,
    Sense.STATE: _read_status,
    Sense.PHASE: _read_status,
    Sense.EVENT: _read_event,
    Sense.OTHER_STATE: _read_status,
    Sense.SUCCESS: _read_success,
    Sense.SUCCESSES: _read_success,
    Sense.PART: _read_success,
    Sense.COMPLETE: _read_complete,
    Sense.ERROR: _read_error,
    Sense.ERROR_TEXT: _read_error,
    Sense.TIMEOUT: _read_early_end,
    Sense.CANCELED: _read_early_end,
    Sense.SKIPPED: _read_early_end,
    Sense.EXIT_CODE: _read_exit_code,
    Sense.HTTP_STATUS: _read_http_status,
    Sense.SIGNAL: _read_signal,
    Sense.LEVEL: _read_level,
}
