"""Cron expressions as Debian's cron(8) reads them, with ``#`` and ``L`` for days.

They refer to the wall clock, and twice a year that clock jumps:

* A job at a fixed time (neither minute nor hour starts with ``*``) follows the
  wall clock. If a day has two 01:30s it runs at the first one; if 02:30 does
  not exist it runs right after the gap.
* Any other job follows real time: it runs in both hours that are called 01:00, and
  not in the hour that is skipped.

croniter is the calendar: it returns the days of an expression. It is called with
plain numbers and without a time of day, because on its own it reads some
expressions differently from cron ("5-5" is every minute) and has slots that cron
does not have when the clocks change. It cannot mix ``#`` or ``L`` with other days, and
returns days in the wrong order for some: these are matches here.
"""

from __future__ import annotations

from array import array
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from afterrun_exporter.core import crontab
from afterrun_exporter.core.schedules.plans import Days, Plan, both, once

#: Years to search for a day. 29 February on one day of the week has at most 40 between.
_YEARS: Final = 50


@dataclass(frozen=True, slots=True)
class _PlainDays:
    """The days of an expression without ``#`` and ``L``."""

    expression: str
    #: True if a day must match both day fields, not either.
    both: bool

    def in_year(self, year: int) -> tuple[array[int], int | None]:
        """Return the days in *year* as ordinals, and the next year with any."""
        eve = datetime.combine(date(year - 1, 12, 31), time.max)
        calendar = croniter(
            self.expression, eve, ret_type=datetime, day_or=not self.both
        )
        in_year = array("i")
        try:
            while (day := calendar.get_next()).year == year:
                in_year.append(day.toordinal())
        except CroniterBadDateError:
            return in_year, None
        return in_year, day.year


@dataclass(frozen=True, slots=True)
class _SpecialDays:
    """The days of an expression with ``#`` or ``L``."""

    months: tuple[int, ...]
    days: frozenset[int]
    #: True if the last day of a month is one.
    last: bool
    #: Days of the week, 0 for Sunday, and of each the place in its month, or `LAST`.
    weekdays: frozenset[tuple[int, int]]
    both: bool

    def in_year(self, year: int) -> tuple[array[int], int | None]:
        """Return the days in *year* as ordinals, and the next year with any."""
        for later in range(year + 1, year + _YEARS):
            if self._days(later):
                return array("i", self._days(year)), later
        return array("i", self._days(year)), None

    def _days(self, year: int) -> list[int]:
        return [
            date(year, month, day).toordinal()
            for month in self.months
            for day in self._days_of(*monthrange(year, month))
        ]

    def _days_of(self, first: int, length: int) -> list[int]:
        """Return the days of a month that begins with the weekday *first*."""
        match = all if self.both else any
        matches = []
        for day in range(1, length + 1):
            weekday = (first + day) % 7
            nth = (day + 6) // 7
            places = {crontab.ANY, nth, crontab.LAST if day + 7 > length else nth}
            in_month = day in self.days or (self.last and day == length)
            in_week = any((weekday, place) in self.weekdays for place in places)
            if match((in_month, in_week)):
                matches.append(day)
        return matches


@lru_cache(maxsize=8192)
def plan(expression: str, zone: str) -> Plan:
    """Return the plan of *expression*, five fields; raise ValueError if it has errors."""
    crontab.check_zone(zone)
    texts = expression.split()
    minutes, hours = (
        field.values(text)
        for field, text in zip(crontab.FIELDS[:2], texts[:2], strict=True)
    )
    is_fixed = not (texts[0].startswith("*") or texts[1].startswith("*"))
    return Plan(
        days=_days(texts),
        times=array("i", (h * 3600 + m * 60 for h in hours for m in minutes)),
        instants=once if is_fixed else both,
        zone=ZoneInfo(zone),
    )


def _days(texts: list[str]) -> Days:
    fields = zip(crontab.FIELDS[2:], texts[2:], strict=True)
    days, months, weekdays = (field.values(text) for field, text in fields)
    week = sorted({weekday % 7 for weekday in weekdays})
    is_both = crontab.match_both(texts)
    special = crontab.specials(texts)
    if special is None:
        calendar = (days, months, week)
        plain = " ".join(("0 0", *(",".join(map(str, one)) for one in calendar)))
        return _PlainDays(plain, is_both)
    return _SpecialDays(
        months=tuple(months),
        days=frozenset(days),
        last=special.last_day,
        weekdays=frozenset({(day, crontab.ANY) for day in week} | special.weekdays),
        both=is_both,
    )
