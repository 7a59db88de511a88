"""Calendar expressions as systemd reads them in ``OnCalendar=``.

The library oncalendar reads them; it is called without a time zone, because it does not
know whether a time of the wall clock comes twice. systemd runs a timer at the first of
two 01:30s, and not at all at a time that does not exist. Years are 1970 to 2199.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from oncalendar import BaseIterator, OnCalendarError

from afterrun_exporter.core import crontab
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.schedules.plans import Plan, first
from afterrun_exporter.core.units import written_duration

#: The maximum length of an expression.
LONGEST: Final = 200

#: Other spellings that systemd accepts.
_ALIASES: Final = {
    "anually": "yearly",
    "bi-annually": "semiannually",
    "biannually": "semiannually",
    "semi-annually": "semiannually",
}
WORDS: Final = (
    *("minutely", "hourly", "daily", "weekly", "monthly", "quarterly"),
    *("semiannually", "yearly", "annually"),
)
_EVERY: Final = re.compile(r"@?every\s+", re.IGNORECASE)
_FRACTION: Final = re.compile(r"[:/]\d*\.\d")
_STEPS: Final = re.compile(r"(\d{1,4})\.\.(\d{1,4})/(\d{1,4})", re.ASCII)
_MANY_STEPS: Final = 400
_CRON_FIELDS: Final = range(5, 8)
_EXAMPLE: Final = "write it like 'Mon..Fri *-*-* 02:00', '*-*~01 03:00' or 'daily'"
_ANY_TIME: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - as the library needs it


@dataclass(frozen=True, slots=True)
class _Days:
    """The days of an expression."""

    expression: str

    def in_year(self, year: int) -> tuple[array[int], int | None]:
        """Return the days in *year* as ordinals, and the next year with any."""
        eve = datetime.combine(date(year - 1, 12, 31), time.max)
        in_year = array("i")
        for day in BaseIterator(self.expression, eve):
            if day.year > year:
                return in_year, day.year
            in_year.append(day.toordinal())
        return in_year, None


@lru_cache(maxsize=8192)
def plan(expression: str, zone: str) -> Plan:
    """Return the plan of *expression*; raise ValueError if it has errors.

    *zone* is the time zone if it names none.
    """
    text, own_zone = parts(expression)
    fields = read(text)
    days = text.rpartition(" ")[0] if ":" in text else text
    return Plan(
        days=_Days(_for_library(days) or "daily"),
        times=array(
            "i",
            (
                hour * 3600 + minute * 60 + second
                for hour in sorted(fields.hours)
                for minute in sorted(fields.minutes)
                for second in sorted(fields.seconds)
            ),
        ),
        instants=first,
        zone=ZoneInfo(own_zone or zone),
    )


def parts(expression: str) -> tuple[str, str]:
    """Return *expression* without its time zone, and that zone or ""."""
    text, _, last = expression.rpartition(" ")
    if not text or not re.match(r"[A-Za-z]", last) or _is_weekdays(last):
        return expression, ""
    crontab.check_zone(last)
    return text, last


def normalized(text: str) -> str:
    """Return *text* without superfluous spaces; raise ValueError if it has errors."""
    words = text.split()
    if len(text) > LONGEST:
        raise ValueError(f"{text[:40]!r}... is too long: at most {LONGEST} characters")
    if not words:
        raise ValueError(f"empty: {_EXAMPLE}")
    expression = " ".join(words)
    try:
        bare, zone = parts(expression)
    except ValueError:
        if hint := _hint(expression):
            raise ValueError(f"cannot read {expression!r}{hint}") from None
        raise
    if bare.lower() in _ALIASES:
        bare = _ALIASES[bare.lower()]
    if bare.lower() in WORDS:
        bare = bare.lower()
    read(bare)
    return f"{bare} {zone}".rstrip()


@lru_cache(maxsize=1024)
def read(text: str) -> BaseIterator:
    """Return the fields of *text*, an expression without a time zone."""
    try:
        return BaseIterator(_for_library(text), _ANY_TIME)
    except OnCalendarError as error:
        raise ValueError(_problem(text, str(error))) from None


def _for_library(text: str) -> str:
    """Return *text* with the numbers of ranges with a step.

    The library reads a range of one number with a step as endless, and counts the steps
    of days before the end of a month from the other end than systemd.
    """
    return _STEPS.sub(_numbers, text)


def _numbers(match: re.Match[str]) -> str:
    first, last, step = map(int, match.groups())
    numbers = range(first, last + 1, step or 1)
    if not step or not 0 < len(numbers) < _MANY_STEPS:
        return match[0]
    return ",".join(map(str, numbers))


def _is_weekdays(word: str) -> bool:
    return re.match(r"(?:mon|tue|wed|thu|fri|sat|sun)", word, re.IGNORECASE) is not None


def _problem(text: str, reason: str) -> str:
    """Return the message for *text*, which the library refuses for *reason*."""
    if hint := _hint(text):
        return f"cannot read {text!r}{hint}"
    part = reason.removeprefix("Bad ").replace("-", " ")
    where = f" (its {part})" if part != reason else ""
    return f"cannot read {text!r}{where}; {_EXAMPLE}"


def _hint(text: str) -> str:
    """Return a correction of *text*; "" if unsure."""
    key, equals, value = text.partition("=")
    period = written_duration(_EVERY.sub("", text))
    hints = (
        (equals, f": write {value.strip()!r} without {key}="),
        (text[1:].lower() in WORDS, f": systemd has no '@': use {text[1:].lower()!r}"),
        (
            len(text.split()) in _CRON_FIELDS and ":" not in text,
            ": for a cron expression use schedule:",
        ),
        (period, f": for a fixed interval use every: {period}"),
        (_FRACTION.search(text), ": write whole seconds, without a fraction"),
        (re.search(r"\dT\d", text), ": write a space, not T, before the time"),
    )
    matches = (hint for condition, hint in hints if condition)
    return next(matches, did_you_mean(text.lower(), WORDS))
