"""Types of ``schedule``, ``oncalendar`` and ``exclude`` in afterrun.yml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.schedule import parse_cron, parse_oncalendar
from afterrun_exporter.core.schedules import exclusions
from afterrun_exporter.validation_messages import EMPTY, quote

#: The maximum number of expressions of a job, and of its excluded days.
MOST_EXPRESSIONS: Final = 100
MOST_EXCLUDED: Final = 1000

_HOLIDAYS: Final = exclusions.HOLIDAYS.strip()


def _as_list(most: int) -> Callable[[object], object]:
    """Return a validator that makes a list of a single value."""

    def as_list(value: object) -> object:
        if not isinstance(value, list):
            return (value,)
        items = tuple(value)
        if not items:
            raise ValueError(EMPTY)
        if len(items) > most:
            raise ValueError(f"{len(items)} are too many: at most {most}")
        return items

    return as_list


def _excluded_list(value: object) -> object:
    # An empty list leaves out nothing, also if `defaults` leave out something.
    return () if value == [] else _as_list(MOST_EXCLUDED)(value)


@lru_cache(maxsize=4096)
def _cron(text: str) -> str:
    parse_cron(text, "UTC")
    return text


@lru_cache(maxsize=4096)
def _oncalendar(text: str) -> str:
    parse_oncalendar(text, "UTC")
    return text


def _single(check: Callable[[str], str]) -> Callable[[Any, Any], Any]:
    """Return a fast path for a single text: nearly all of 100,000 jobs have one."""

    def single(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return (check(value),) if type(value) is str else handler(value)

    return single


def _excluded(value: Any) -> tuple[str, ...]:
    """Return an item of ``exclude`` as texts of `exclusions`."""
    if isinstance(value, str):
        return (_checked(value),)
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{quote(value)} is not a day; write it like 2026-12-24, 12-25, sunday or "
            "{holidays: DE-BY}"
        )
    for key in value:
        if key != _HOLIDAYS:
            hint = did_you_mean(str(key), [_HOLIDAYS]) or f"; use {_HOLIDAYS!r}"
            raise ValueError(f"unknown key {quote(key)}{hint}")
    calendars = value.get(_HOLIDAYS)
    values = calendars if isinstance(calendars, list) else [calendars]
    codes = [one.strip() for one in values if isinstance(one, str)]
    if not codes or len(codes) < len(values) or not all(codes):
        raise ValueError(
            f"{_HOLIDAYS} has {quote(calendars)}: write the code of a country or of a part "
            "of it, such as DE or DE-BY, or a list of codes"
        )
    return tuple(_checked(f"{exclusions.HOLIDAYS}{code}") for code in codes)


@lru_cache(maxsize=4096)
def _checked(text: str) -> str:
    return exclusions.checked(text)


@lru_cache(maxsize=4096)
def _not_every_day(items: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    exclusions.check_all(flat(items))
    return items


def flat(items: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Return the excluded days of all *items*, each once."""
    return tuple(dict.fromkeys(chain.from_iterable(items)))


CronTexts = Annotated[
    tuple[Annotated[str, AfterValidator(_cron)], ...],
    BeforeValidator(_as_list(MOST_EXPRESSIONS)),
    WrapValidator(_single(_cron)),
]
OnCalendarTexts = Annotated[
    tuple[Annotated[str, AfterValidator(_oncalendar)], ...],
    BeforeValidator(_as_list(MOST_EXPRESSIONS)),
    WrapValidator(_single(_oncalendar)),
]
Exclude = Annotated[
    tuple[Annotated[tuple[str, ...], PlainValidator(_excluded)], ...],
    BeforeValidator(_excluded_list),
    AfterValidator(_not_every_day),
]
