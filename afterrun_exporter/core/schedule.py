"""When a job is due: every so often, or as Debian's cron(8) would start it.

Instants are Unix seconds; nothing here asks what time it is.

Cron expressions speak of the wall clock, and twice a year that clock jumps:

* A job with a fixed time (neither minute nor hour starts with ``*``) is about
  the wall clock. It runs once on the day with two 01:30s, the first time, and
  right after the gap on the day that has no 02:30.
* Any other job follows real time. It runs in both hours that are called 01:00
  and not at all in an hour that is skipped.

croniter is the calendar: it says which days an expression names. It is handed
plain numbers and never sees a time of day, because its own reading of both is
not cron's: "5-5" is every minute to it, "1,*" counts as a leading star, and
clock changes give it slots that cron does not have.
"""

from __future__ import annotations

import difflib
import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, croniter

from afterrun_exporter.core.units import format_duration

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_ONE_MINUTE: Final = timedelta(minutes=1)
_ONE_DAY: Final = timedelta(days=1)
_EPOCH: Final = date(1970, 1, 1).toordinal()

# The calendar ends with the year 9999, and croniter looks 50 years ahead.
_END_OF_TIME: Final = datetime(9900, 1, 1, tzinfo=UTC).timestamp()

_SLOTS_PER_BLOCK: Final = 64

_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_ITEM: Final = re.compile(
    r"(?:\*|(?P<first>\w{1,9})(?:-(?P<last>\w{1,9}))?)(?:/(?P<step>\d{1,9}))?",
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
        """The schedule as people write it: ``every 1h30m``."""
        return f"every {format_duration(self.period)}"


@dataclass(frozen=True, slots=True)
class Cron:
    """Due when cron(8) in *zone* would start it; made by :func:`parse_cron`."""

    expression: str
    zone: str

    def next_after(self, instant: float) -> float:
        """Return the first slot strictly later than *instant*.

        ``math.inf`` when there never is one: 30 February, or later than the
        calendar reaches. Slots are remembered for all who share the
        expression and the zone, so asking again is cheap, in any order.
        """
        if instant >= _END_OF_TIME:
            return math.inf
        width = _plan(self.expression, self.zone).width
        slots = _block(self.expression, self.zone, int(instant // width))
        return slots[bisect_right(slots, instant)]

    @property
    def text(self) -> str:
        """The schedule as people write it: the five fields."""
        return self.expression


Schedule = Every | Cron


def early_limit(schedule: Schedule, slot: float, early: float) -> float:
    """Return how long before *slot* a finish still counts for it.

    That is *early*, but at most a tenth of the time from this slot to the
    next one: of a job that runs every minute, 6 seconds.
    """
    if isinstance(schedule, Every):
        return min(early, schedule.period / 10)
    return min(early, (schedule.next_after(slot) - slot) / 10)


def parse_cron(text: str, zone: str) -> Cron:
    """Return the schedule that *text* stands for on the clocks of *zone*.

    What Debian's cron(8) runs is accepted, ``@daily`` and its like included.
    Anything else is a ValueError that says what to write instead.
    """
    expression = " ".join(text.split())
    if expression.startswith("@"):
        expression = _spell_out(expression)
    count = len(expression.split())
    if count != len(_FIELDS):
        message = (
            f"cron expression {text!r} has {count} fields; write 5: "
            "minute, hour, day of month, month, day of week"
        )
        raise ValueError(message)
    if zone not in _zone_names():
        raise ValueError(_unknown_zone(zone))
    _plan(expression, zone)
    return Cron(expression, zone)


def _spell_out(nickname: str) -> str:
    """Return the five fields of ``@daily`` and its like."""
    known = nickname.lower()
    if known in _NICKNAMES:
        return _NICKNAMES[known]
    if known == "@reboot":
        raise ValueError(
            f"{nickname!r} names no time, so nothing can be late for it; "
            "use a cron expression or 'every'"
        )
    near = difflib.get_close_matches(known, _NICKNAMES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(_NICKNAMES)}"
    raise ValueError(f"unknown cron nickname {nickname!r}; {hint}")


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _unknown_zone(zone: str) -> str:
    """Return what to say of *zone*; ``riga`` and ``new york`` are understood."""
    names = sorted(_zone_names())
    keys = {name.rpartition("/")[2].casefold(): name for name in names}
    keys |= {name.casefold(): name for name in names}
    wanted = zone.strip().replace(" ", "_").casefold()
    near = difflib.get_close_matches(wanted, keys, n=1, cutoff=0.75)
    hint = f"did you mean {keys[near[0]]!r}?" if near else "use one like 'Europe/Riga'"
    return f"unknown time zone {zone!r}; {hint}"


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name in messages, and what it may hold."""

    name: str
    low: int
    high: int
    words: Mapping[str, int]

    def values(self, text: str) -> set[int]:
        """Return the numbers that *text* lists."""
        return {value for item in text.split(",") for value in self._range(item)}

    def _range(self, item: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(self._unreadable(item))
        first, last, step = match["first"], match["last"], match["step"]
        if step is not None and int(step) == 0:
            raise ValueError(f"{self.name} {item!r} takes steps of 0; use 1 or more")
        low = self._number(first) if first else self.low
        if last:
            high = self._number(last)
        else:
            # "5/15" has no end; only Debian's cron insists on one.
            high = low if first and not step else self.high
        if low > high:
            split = f"{low}-{self.high},{self.low}-{high}"
            raise ValueError(
                f"{self.name} {item!r} runs backwards; split it like {split!r}"
            )
        return range(low, high + 1, int(step or 1))

    def _number(self, text: str) -> int:
        number = self.words.get(text.lower())
        if number is not None:
            return number
        if not text.isdecimal():
            raise ValueError(self._unreadable(text))
        if not self.low <= int(text) <= self.high:
            span = f"{self.low}-{self.high}"
            raise ValueError(f"{self.name} {text!r} is out of range; use {span}")
        return int(text)

    def _unreadable(self, text: str) -> str:
        words = f", {' '.join(self.words)}" if self.words else ""
        return (
            f"{self.name} {text!r} means nothing to cron(8); use *, "
            f"{self.low}-{self.high}{words}, and lists, ranges or steps of these"
        )


def _words(text: str, first: int) -> Mapping[str, int]:
    return {word: number for number, word in enumerate(text.split(), first)}


_FIELDS: Final = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field(
        "month", 1, 12, _words("jan feb mar apr may jun jul aug sep oct nov dec", 1)
    ),
    _Field("day of week", 0, 7, _words("sun mon tue wed thu fri sat", 0)),
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A cron expression, read."""

    #: Which days, for croniter.
    days: str
    #: Whether a day must match both day fields, or one of them.
    both: bool
    #: The times of such a day, in seconds since midnight on the wall clock.
    times: array[int]
    #: Tied to the wall clock rather than to real time.
    fixed: bool
    zone: ZoneInfo
    #: Length of a block of slots in seconds.
    width: int


@lru_cache(maxsize=8192)
def _plan(expression: str, zone: str) -> _Plan:
    """Return what *expression* says, or raise ValueError."""
    texts = expression.split()
    minutes, hours, days, months, weekdays = (
        sorted(field.values(text)) for field, text in zip(_FIELDS, texts, strict=True)
    )
    times = array("i", (h * _HOUR + m * 60 for h in hours for m in minutes))
    return _Plan(
        days=" ".join(
            ("0 0", _listed(days), _listed(months), _listed({d % 7 for d in weekdays}))
        ),
        # Debian's cron looks at the first character and nothing else.
        both=texts[2].startswith("*") or texts[4].startswith("*"),
        times=times,
        fixed=not (texts[0].startswith("*") or texts[1].startswith("*")),
        zone=ZoneInfo(zone),
        width=max(3, _SLOTS_PER_BLOCK * 24 // len(times)) * _HOUR,
    )


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


@lru_cache(maxsize=16384)
def _block(expression: str, zone: str, number: int) -> array[float]:
    """Return all slots of one block of time, and the first one after it."""
    plan = _plan(expression, zone)
    start, end = number * plan.width, (number + 1) * plan.width
    # A clock set back across midnight shows the day before, or the day after,
    # a second time: the slots of neighbouring days can be interleaved.
    first_day = _local_day(start, plan.zone) - 1
    last_day = _local_day(end, plan.zone) + 1
    found = [math.inf]
    for day in _days_from(plan.days, plan.both, first_day):
        slots = _slots_of(day, plan)
        found += slots
        if day >= last_day and max(slots, default=-math.inf) >= end:
            break
    ordered = sorted({slot for slot in found if slot >= start})
    return array("d", ordered[: bisect_left(ordered, end) + 1])


def _local_day(instant: float, zone: ZoneInfo) -> int:
    return datetime.fromtimestamp(instant, zone).toordinal()


def _days_from(days: str, both: bool, first: int) -> Iterator[int]:
    """Yield the days that an expression names, from *first* on."""
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
    """Return when the job is due on a *day* of the wall clock, in any order."""
    midnight = datetime.fromordinal(day).replace(tzinfo=plan.zone)
    offset = midnight.utcoffset()
    if offset == (midnight + _ONE_DAY).replace(fold=1).utcoffset():
        start = midnight.timestamp()
        return [start + seconds for seconds in plan.times]
    walls = (midnight + timedelta(seconds=seconds) for seconds in plan.times)
    if plan.fixed:
        return [_once(wall) for wall in walls]
    return [instant for wall in walls for instant in _readings(wall)]


def _once(wall: datetime) -> float:
    """Return when the clock first shows *wall* or, if it never does, more."""
    while not _readings(wall):
        wall += _ONE_MINUTE
    return wall.timestamp()


def _readings(wall: datetime) -> set[float]:
    """Return the instants, up to two, at which the clock shows *wall*."""
    instants = (wall.timestamp(), wall.replace(fold=1).timestamp())
    return {at for at in instants if datetime.fromtimestamp(at, wall.tzinfo) == wall}
