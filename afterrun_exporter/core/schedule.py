"""Schedules: fixed intervals, and cron expressions as Debian's cron(8) reads them.

Cron expressions refer to the wall clock, and twice a year that clock jumps:

* A job at a fixed time (neither minute nor hour starts with ``*``) follows the
  wall clock. If a day has two 01:30s it runs at the first one; if 02:30 does
  not exist it runs right after the gap.
* Any other job follows real time: it runs in both hours that are called 01:00, and
  not in the hour that is skipped.

croniter is the calendar: it returns the days of an expression. It is called with
plain numbers and without a time of day, because on its own it reads some
expressions differently from cron ("5-5" is every minute) and has slots that cron
does not have when the clocks change. Instants are Unix seconds.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from afterrun_exporter.core import crontab
from afterrun_exporter.core.units import format_duration

_HOUR: Final = 3600

# datetime ends with the year 9999, and croniter looks 50 years ahead.
_END_OF_TIME: Final = datetime(9900, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Every:
    """Due again *period* seconds after the last time; *period* is positive."""

    period: float

    def next_after(self, instant: float) -> float:
        """Return the moment one period after *instant*."""
        return instant + self.period

    def between(self, first: float, until: float) -> tuple[int, float]:
        """Return the number of slots from *first* to *until*, and the last of them.

        *first* is a slot, and not later than *until*.
        """
        more = math.floor((until - first) / self.period)
        return more + 1, first + more * self.period

    @property
    def text(self) -> str:
        """The schedule for people: ``every 1h30m``."""
        return f"every {format_duration(self.period)}"


@dataclass(frozen=True, slots=True)
class Cron:
    """Due when cron(8) in *zone* would start it; created by :func:`parse_cron`."""

    expression: str
    zone: str
    #: The last result, after the instant from which it is valid.
    _gap: tuple[float, float] = field(
        default=(math.inf, -math.inf), init=False, repr=False, compare=False
    )

    @property
    def text(self) -> str:
        """The schedule for people: the expression."""
        return self.expression

    def next_after(self, instant: float) -> float:
        """Return the first slot strictly later than *instant*.

        ``math.inf`` if there is none, as for 30 February. Slots are cached by
        expression and zone, so repeated calls are cheap, in any order of instants.
        """
        # The instant is nearly always the present, for which the slot rarely changes.
        since, slot = self._gap
        if since <= instant < slot:
            return slot
        if instant >= _END_OF_TIME:
            return math.inf
        width = _plan(self.expression, self.zone).width
        slots = _block(self.expression, self.zone, int(instant // width))
        place = bisect_right(slots, instant)
        since, slot = slots[place - 1] if place else instant, slots[place]
        object.__setattr__(self, "_gap", (since, slot))
        return slot

    def between(self, first: float, until: float) -> tuple[int, float]:
        """Return the number of slots from *first* to *until*, and the last of them.

        *first* is a slot, and not later than *until*.
        """
        width = _plan(self.expression, self.zone).width
        count, last = 0, first
        for number in range(int(first // width), int(until // width) + 1):
            slots = _block(self.expression, self.zone, number)
            # The last slot belongs to a later block.
            end = bisect_right(slots, until, hi=len(slots) - 1)
            start = bisect_left(slots, first, hi=end)
            count += end - start
            last = slots[end - 1] if end > start else last
        return count, last


Schedule = Every | Cron


def early_limit(schedule: Schedule, slot: float, early: float) -> float:
    """Return the time before *slot* in which a finish still counts for it, in seconds.

    That is *early*, but at most a tenth of the time from *slot* to the next one:
    6 seconds for a job that runs every minute.
    """
    if isinstance(schedule, Every):
        return min(early, schedule.period / 10)
    return min(early, (schedule.next_after(slot) - slot) / 10)


def parse_cron(text: str, zone: str) -> Cron:
    """Return the schedule written as *text* for the clocks of *zone*.

    Five fields as in crontab(5), or a nickname like ``@daily``. Raises ValueError with
    the problem and a correction.
    """
    crontab.check_zone(zone)
    cron = Cron(" ".join(crontab.split(text)), zone)
    _plan(cron.expression, zone)
    return cron


@dataclass(frozen=True, slots=True)
class _Plan:
    """A parsed cron expression."""

    days: str  #: the days, for croniter
    both: bool  #: True if a day must match both day fields, not either
    times: array[int]  #: the times of such a day, in seconds after midnight
    fixed: bool  #: True if it follows the wall clock, not real time
    zone: ZoneInfo
    width: int  #: the length of one block in seconds, with about 64 slots


@lru_cache(maxsize=8192)
def _plan(expression: str, zone: str) -> _Plan:
    """Return the plan of *expression*, or raise ValueError."""
    texts = expression.split()
    minutes, hours, days, months, weekdays = (
        field.values(text) for field, text in zip(crontab.FIELDS, texts, strict=True)
    )
    calendar = (days, months, sorted({weekday % 7 for weekday in weekdays}))
    times = array("i", (h * _HOUR + m * 60 for h in hours for m in minutes))
    return _Plan(
        days=" ".join(("0 0", *(",".join(map(str, numbers)) for numbers in calendar))),
        # Cron checks the first character only: "1,*" is no star.
        both=texts[2].startswith("*") or texts[4].startswith("*"),
        times=times,
        fixed=not (texts[0].startswith("*") or texts[1].startswith("*")),
        zone=ZoneInfo(zone),
        width=max(6, 64 * 24 // len(times)) * _HOUR,
    )


@lru_cache(maxsize=16384)
def _block(expression: str, zone: str, number: int) -> array[float]:
    """Return the slots in one block of time, and the first one after it."""
    plan = _plan(expression, zone)
    start, end = number * plan.width, (number + 1) * plan.width
    # Clocks set back over midnight repeat the end of a day after the next one has
    # begun. So a neighbouring day may have slots between those of this one.
    first_day = datetime.fromtimestamp(start, plan.zone).toordinal() - 1
    last_day = datetime.fromtimestamp(end, plan.zone).toordinal() + 1
    instants = [math.inf]
    for day in _days_from(plan.days, plan.both, first_day):
        slots = _slots_of(day, plan)
        instants += slots
        if day >= last_day and max(slots, default=-math.inf) >= end:
            break
    ordered = sorted({slot for slot in instants if slot >= start})
    return array("d", ordered[: bisect_left(ordered, end) + 1])


def _days_from(days: str, both: bool, first: int) -> Iterator[int]:
    """Yield the days that an expression names, *first* or later, as ordinals."""
    year: int | None = date.fromordinal(first).year
    while year is not None:
        in_year, year = _days_in(days, both, year)
        yield from in_year[bisect_left(in_year, first) :]


@lru_cache(maxsize=1024)
def _days_in(days: str, both: bool, year: int) -> tuple[array[int], int | None]:
    """Return the days in *year*, and the year of the first one after it."""
    eve = datetime.combine(date(year - 1, 12, 31), time.max)
    calendar = croniter(days, eve, ret_type=datetime, day_or=not both)
    in_year = array("i")
    try:
        while (day := calendar.get_next()).year == year:
            in_year.append(day.toordinal())
    except CroniterBadDateError:
        return in_year, None
    return in_year, day.year


def _slots_of(day: int, plan: _Plan) -> list[float]:
    """Return the slots on a *day* of the wall clock, in any order."""
    midnight = datetime.fromordinal(day).replace(tzinfo=plan.zone)
    next_midnight = (midnight + timedelta(days=1)).replace(fold=1)
    if midnight.utcoffset() == next_midnight.utcoffset():
        start = midnight.timestamp()
        return [start + seconds for seconds in plan.times]
    walls = (midnight + timedelta(seconds=seconds) for seconds in plan.times)
    if plan.fixed:
        return [_once(wall) for wall in walls]
    return [instant for wall in walls for instant in _readings(wall)]


def _once(wall: datetime) -> float:
    """Return the first instant at which the clock shows or skips *wall*."""
    while not _readings(wall):
        wall += timedelta(minutes=1)
    return wall.timestamp()


def _readings(wall: datetime) -> set[float]:
    """Return the instants, up to two, at which the clock shows *wall*."""
    first, second = wall.timestamp(), wall.replace(fold=1).timestamp()
    # In this order datetime reports that the time does not exist (PEP 495).
    return {first, second} if first <= second else set()
