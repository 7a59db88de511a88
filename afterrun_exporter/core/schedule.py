"""When a job is due: every so often, or when Debian's cron(8) would start it.

Cron expressions speak of the wall clock, and twice a year that clock jumps:

* A job at a fixed time (neither minute nor hour starts with ``*``) follows the
  wall clock. With two 01:30s in a day it runs at the first one; when 02:30 does
  not exist it runs right after the gap.
* Any other job follows real time: in both hours that are called 01:00, and not
  at all in the hour that is left out.

croniter is the calendar: it says which days an expression names. It is given
plain numbers and no time of day, because on its own it reads some expressions
unlike cron ("5-5" is every minute) and has slots where the clocks change that
cron has not. Instants are Unix seconds.
"""

from __future__ import annotations

import difflib
import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, croniter

from afterrun_exporter.core.units import format_duration

_HOUR: Final = 3600

# datetime ends with the year 9999, and croniter looks 50 years ahead.
_END_OF_TIME: Final = datetime(9900, 1, 1, tzinfo=UTC).timestamp()

_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

# Items of a list: * 5 5-9 */5 5-9/2 5/15
_ITEM: Final = re.compile(
    r"(?:\*|(?P<first>\w{1,9})(?:-(?P<last>\w{1,9}))?)(?:/(?P<step>0{0,8}[1-9]\d{0,8}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Every:
    """Due again *period* seconds after the last time; *period* is positive."""

    period: float

    def next_after(self, instant: float) -> float:
        """Return the moment one period after *instant*."""
        return instant + self.period

    @property
    def text(self) -> str:
        """The schedule for people to read: ``every 1h30m``."""
        return f"every {format_duration(self.period)}"


@dataclass(frozen=True, slots=True)
class Cron:
    """Due when cron(8) in *zone* would start it; made by :func:`parse_cron`."""

    expression: str
    zone: str

    def next_after(self, instant: float) -> float:
        """Return the first slot strictly later than *instant*.

        ``math.inf`` when there never is one, as on 30 February. Slots are
        remembered per expression and zone, so asking again is cheap, in
        whatever order instants come.
        """
        if instant >= _END_OF_TIME:
            return math.inf
        width = _plan(self.expression, self.zone).width
        slots = _block(self.expression, self.zone, int(instant // width))
        return slots[bisect_right(slots, instant)]


Schedule = Every | Cron


def early_limit(schedule: Schedule, slot: float, early: float) -> float:
    """Return how long before *slot* a finish still counts for it.

    That is *early*, but at most a tenth of the time from *slot* to the next
    one: 6 seconds for a job that runs every minute.
    """
    if isinstance(schedule, Every):
        return min(early, schedule.period / 10)
    return min(early, (schedule.next_after(slot) - slot) / 10)


def parse_cron(text: str, zone: str) -> Cron:
    """Return the schedule that *text* stands for on the clocks of *zone*.

    Five fields as in crontab(5), or ``@daily`` and its like. A ValueError says
    what is wrong with anything else, and what to write instead.
    """
    fields = text.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0].lower() not in _NICKNAMES:
            raise ValueError(_unknown_nickname(fields[0]))
        fields = _NICKNAMES[fields[0].lower()].split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"cron expression {text!r} has {len(fields)} fields; write 5: "
            "minute, hour, day of month, month, day of week"
        )
    if zone not in _zone_names():
        raise ValueError(_unknown_zone(zone))
    cron = Cron(" ".join(fields), zone)
    _plan(cron.expression, zone)
    return cron


def _unknown_nickname(nickname: str) -> str:
    near = difflib.get_close_matches(nickname.lower(), _NICKNAMES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(_NICKNAMES)}"
    return f"unknown cron nickname {nickname!r}; {hint}"


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _unknown_zone(zone: str) -> str:
    # "CEST" is not EST, and Etc/GMT+3 is west of Greenwich: better no guess.
    names = [name for name in _zone_names() if "/" in name and name[:4] != "Etc/"]
    meant = {name.casefold(): name for name in (*names, "UTC")}
    cities = {name.rpartition("/")[2]: name for name in sorted(meant)}
    wanted = zone.strip().replace(" ", "_").casefold()
    near = difflib.get_close_matches(cities.get(wanted, wanted), meant, n=1, cutoff=0.8)
    hint = f"did you mean {meant[near[0]]!r}?" if near else "use one like 'Europe/Riga'"
    return f"unknown time zone {zone!r}; {hint}"


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name in messages, and what it may hold."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def values(self, text: str) -> list[int]:
        """Return the numbers that *text* lists, in order."""
        return sorted({n for item in text.split(",") for n in self._range(item)})

    def _range(self, item: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None:
            like = f"*, {self.low}, {self.low}-{self.high} or */2"
            raise ValueError(f"cannot read {self.name} {item!r}; write it like {like}")
        first, last, step = match.group("first", "last", "step")
        low = self._number(first) if first else self.low
        # "5/15" means from 5 on. Debian's cron refuses it, most others do not.
        endless = not first or step
        high = self._number(last) if last else self.high if endless else low
        if low > high:
            rest = f"{self.low}-{high}" if high > self.low else f"{high}"
            split = f"{low}-{self.high},{rest}"
            raise ValueError(f"{self.name} {item!r} runs backwards; use {split!r}")
        return range(low, high + 1, int(step or 1))

    def _number(self, text: str) -> int:
        if text.lower() in self.words:
            return self.low + self.words.index(text.lower())
        if text.isdecimal() and self.low <= int(text) <= self.high:
            return int(text)
        words = f" or {self.words[0]}-{self.words[-1]}" if self.words else ""
        allowed = f"{self.low}-{self.high}{words}"
        problem = "is out of range" if text.isdecimal() else "is unknown"
        raise ValueError(f"{self.name} {text!r} {problem}; use {allowed}")


_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec"
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS.split())),
    _Field("day of week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A cron expression, read."""

    days: str  #: which days, for croniter
    both: bool  #: whether a day must match both day fields, or either
    times: array[int]  #: the times of such a day, in seconds after midnight
    fixed: bool  #: whether it follows the wall clock, rather than real time
    zone: ZoneInfo
    width: int  #: how many seconds one block covers, with 64 slots or so


@lru_cache(maxsize=8192)
def _plan(expression: str, zone: str) -> _Plan:
    """Return what *expression* says, or raise ValueError."""
    texts = expression.split()
    minutes, hours, days, months, weekdays = (
        field.values(text) for field, text in zip(_FIELDS, texts, strict=True)
    )
    calendar = (days, months, sorted({weekday % 7 for weekday in weekdays}))
    times = array("i", (h * _HOUR + m * 60 for h in hours for m in minutes))
    return _Plan(
        days=" ".join(("0 0", *(",".join(map(str, numbers)) for numbers in calendar))),
        # Cron looks at the first character only: "1,*" is no star.
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
    # Clocks set back over midnight repeat the end of a day after the next one
    # has begun. So a neighbouring day may have slots between those of this one.
    first_day = datetime.fromtimestamp(start, plan.zone).toordinal() - 1
    last_day = datetime.fromtimestamp(end, plan.zone).toordinal() + 1
    found = [math.inf]
    for day in _days_from(plan.days, plan.both, first_day):
        slots = _slots_of(day, plan)
        found += slots
        if day >= last_day and max(slots, default=-math.inf) >= end:
            break
    ordered = sorted({slot for slot in found if slot >= start})
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
    found = array("i")
    try:
        while (day := calendar.get_next()).year == year:
            found.append(day.toordinal())
    except CroniterBadDateError:
        return found, None
    return found, day.year


def _slots_of(day: int, plan: _Plan) -> list[float]:
    """Return when a job is due on a *day* of the wall clock, in any order."""
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
    """Return when the clock first shows *wall*, or has just skipped it."""
    while not _readings(wall):
        wall += timedelta(minutes=1)
    return wall.timestamp()


def _readings(wall: datetime) -> set[float]:
    """Return the instants, up to two, at which the clock shows *wall*."""
    first, second = wall.timestamp(), wall.replace(fold=1).timestamp()
    # The wrong way round is how datetime says that it never does (PEP 495).
    return {first, second} if first <= second else set()
