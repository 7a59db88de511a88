"""Days on which no run is due: dates, ranges, days of the week, public holidays.

Each is written as text: ``2026-12-24``, ``2026-12-24..2027-01-02``, ``12-25`` and
``12-24..01-02`` in each year, ``sunday``, and ``holidays DE-BY``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.schedules import public_holidays

WEEKDAYS: Final = (
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
)
HOLIDAYS: Final = "holidays "
BETWEEN: Final = ".."
#: The longest range in days, ten years.
LONGEST: Final = 3660

_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_YEARLY: Final = re.compile(r"(\d\d)-(\d\d)", re.ASCII)
_OTHER_RANGE: Final = re.compile(
    r"((?:\d{4}-)?\d\d-\d\d)\s*(?:to|until|through|/|\u2013|-|:|\.{3}|\u2026)\s*"
    r"((?:\d{4}-)?\d\d-\d\d)",
    re.IGNORECASE | re.ASCII,
)
_FORMS: Final = (
    "write a date (2026-12-24), dates of each year (12-25), a range "
    "(2026-12-24..2027-01-02), a day of the week (sunday) or {holidays: DE-BY}"
)
#: A leap year, for days of each year.
_LEAP: Final = 2028


class _Day(NamedTuple):
    """A day of a year, or of each year."""

    year: int | None
    month: int
    day: int


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Excluded days, as ordinals of `date`."""

    #: The first day of each stretch and the first day after it, ascending.
    edges: tuple[int, ...]
    yearly: frozenset[tuple[int, int]]
    weekdays: frozenset[int]
    holidays: tuple[str, ...]

    def contains(self, day: int) -> bool:
        """Return True if no run is due on *day*."""
        if day % 7 in self.weekdays or bisect_right(self.edges, day) % 2:
            return True
        if not self.yearly and not self.holidays:
            return False
        when = date.fromordinal(day)
        return (when.month, when.day) in self.yearly or any(
            day in public_holidays.days(calendar, when.year)
            for calendar in self.holidays
        )


def checked(text: str) -> str:
    """Return an item of ``exclude`` as it is kept; raise ValueError if it is invalid."""
    item = " ".join(text.split())
    if item.startswith(HOLIDAYS):
        public_holidays.check(item.removeprefix(HOLIDAYS))
        return item
    if (name := item.lower()) in WEEKDAYS:
        return name
    _range(item)
    return item


@lru_cache(maxsize=1024)
def parse(items: tuple[str, ...]) -> Exclusions:
    """Return the days of *items*, each of which `checked` has returned."""
    stretches: list[tuple[int, int]] = []
    yearly: set[tuple[int, int]] = set()
    weekdays: set[int] = set()
    calendars: list[str] = []
    for item in items:
        if item.startswith(HOLIDAYS):
            calendars.append(item.removeprefix(HOLIDAYS))
        elif item in WEEKDAYS:
            # The remainder of an ordinal: 1 January of the year 1 was a Monday.
            weekdays.add((WEEKDAYS.index(item) + 1) % 7)
        else:
            first, last = _range(item)
            if first.year is None:
                yearly.update(_days_of_each_year(first, last))
            else:
                stretches.append((_ordinal(first), _ordinal(last) + 1))
    return Exclusions(
        _joined(stretches), frozenset(yearly), frozenset(weekdays), tuple(calendars)
    )


def check_all(items: tuple[str, ...]) -> None:
    """Raise ValueError if *items* leave out every day."""
    excluded = parse(items)
    recurring = replace(excluded, edges=(), holidays=())
    first = date(_LEAP, 1, 1).toordinal()
    if all(map(recurring.contains, range(first, first + 366))):
        raise ValueError(
            "leaves out every day, so no run is ever due: for that write enabled: false"
        )


def _range(item: str) -> tuple[_Day, _Day]:
    """Return the first and the last day of *item*."""
    start, is_range, end = item.partition(BETWEEN)
    first = _day(start.strip(), item)
    last = _day(end.strip(), item) if is_range else first
    if (first.year is None) is not (last.year is None):
        raise ValueError(
            f"{item!r} has a year at one end only: write both dates with their years, "
            "or both without"
        )
    if first.year is not None:
        if _ordinal(first) > _ordinal(last):
            raise ValueError(
                f"{item!r} ends before it begins; use '{end.strip()}..{start.strip()}'"
            )
        if _ordinal(last) - _ordinal(first) >= LONGEST:
            raise ValueError(f"{item!r} is too long: at most ten years")
    return first, last


def _day(text: str, item: str) -> _Day:
    match = _DATE.fullmatch(text)
    if match is not None:
        result = _Day(*map(int, match.groups()))
    elif (match := _YEARLY.fullmatch(text)) is not None:
        result = _Day(None, *map(int, match.groups()))
    else:
        raise ValueError(_unreadable(item))
    try:
        date(_LEAP if result.year is None else result.year, result.month, result.day)
    except ValueError:
        raise ValueError(f"there is no day {text!r}") from None
    return result


def _unreadable(item: str) -> str:
    start = f"cannot read {item[:60]!r}"
    if match := _OTHER_RANGE.fullmatch(item):
        return f"{start}: write a range with two dots: '{match[1]}..{match[2]}'"
    word = item.lower()
    short = [name for name in WEEKDAYS if len(word) > 1 and name.startswith(word)]
    if len(short) == 1:
        return f"{start}; did you mean {short[0]!r}?"
    if word in {"weekend", "weekends"}:
        return f"{start}: write saturday and sunday"
    if hint := did_you_mean(word, WEEKDAYS):
        return f"{start}{hint}"
    if re.fullmatch(r"[A-Za-z]{2,3}(-\w+)?", item):
        return f"{start}: for public holidays write {{holidays: {item}}}"
    return f"{start}: {_FORMS}"


def _ordinal(day: _Day) -> int:
    return date(day.year or _LEAP, day.month, day.day).toordinal()


def _days_of_each_year(first: _Day, last: _Day) -> set[tuple[int, int]]:
    """Return months and days from *first* to *last*, perhaps across the new year."""
    start, end = _ordinal(first), _ordinal(last)
    days = [*range(start, end + 1)]
    if end < start:
        new_year = date(_LEAP, 1, 1).toordinal()
        days = [*range(new_year, end + 1), *range(start, new_year + 366)]
    return {(day.month, day.day) for day in map(date.fromordinal, days)}


def _joined(stretches: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return the edges of overlapping *stretches* as those of separate ones."""
    edges: list[int] = []
    for start, end in sorted(stretches):
        if edges and start <= edges[-1]:
            edges[-1] = max(edges[-1], end)
        else:
            edges += (start, end)
    return tuple(edges)
