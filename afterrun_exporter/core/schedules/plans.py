"""Parsed expressions: the days of a schedule, and the times of such a day."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo


class Days(Hashable, Protocol):
    """The days of an expression."""

    def in_year(self, year: int) -> tuple[array[int], int | None]:
        """Return the days in *year* as ordinals, and the next year with any."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A parsed expression."""

    days: Days
    #: The times of such a day, in seconds after midnight.
    times: array[int]
    #: Returns the instants of a slot at a time of the wall clock, on a day on which
    #: the clock changes.
    instants: Callable[[datetime], Collection[float]]
    zone: ZoneInfo

    def days_from(self, first: int) -> Iterator[int]:
        """Yield the days from *first* on, as ordinals."""
        year: int | None = date.fromordinal(first).year
        while year is not None:
            in_year, year = _days_in(self.days, year)
            yield from in_year[bisect_left(in_year, first) :]


@lru_cache(maxsize=1024)
def _days_in(days: Days, year: int) -> tuple[array[int], int | None]:
    return days.in_year(year)


def both(wall: datetime) -> Collection[float]:
    """Return the instants, up to two, at which the clock shows *wall*."""
    first, second = wall.timestamp(), wall.replace(fold=1).timestamp()
    # In this order datetime reports that the time does not exist (PEP 495).
    return {first, second} if first <= second else ()


def once(wall: datetime) -> Collection[float]:
    """Return the first instant at which the clock shows or skips *wall*."""
    while not both(wall):
        wall += timedelta(minutes=1)
    return (wall.timestamp(),)


def first(wall: datetime) -> Collection[float]:
    """Return the first instant at which the clock shows *wall*; none if it skips it."""
    return (wall.timestamp(),) if both(wall) else ()
