"""The slots of cron(8), found by walking through the time of a zone.

This shares nothing with the product: every quarter of an hour is asked for its offset
from UTC, and no calendar library but `zoneinfo` is used.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

QUARTER: Final = 900
DAY: Final = 86_400
#: Slots are worked out for so much time at once.
BLOCK: Final = 40 * DAY

_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
_NAMES: Final = {
    name: number
    for names in (
        "sun mon tue wed thu fri sat",
        "- jan feb mar apr may jun jul aug sep oct nov dec",
    )
    for number, name in enumerate(names.split())
}


@dataclass(frozen=True)
class Table:
    """A line of a crontab: the numbers that each of its fields allows."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    #: Both day fields must match, and not only one of them.
    both_days: bool
    #: Follows the wall clock, and not real time.
    is_fixed: bool

    def has_day(self, day: datetime) -> bool:
        """Return True if the table is for the date of *day*."""
        if day.month not in self.months:
            return False
        by_date = day.day in self.days
        by_weekday = day.isoweekday() % 7 in self.weekdays
        if self.both_days:
            return by_date and by_weekday
        return by_date or by_weekday


@cache
def table(expression: str) -> Table:
    """Return what *expression* says."""
    fields = _NICKNAMES.get(expression, expression).split()
    minute, hour, day, month, weekday = fields
    return Table(
        minutes=_numbers(minute, 0, 59),
        hours=_numbers(hour, 0, 23),
        days=_numbers(day, 1, 31),
        months=_numbers(month, 1, 12),
        weekdays=frozenset(number % 7 for number in _numbers(weekday, 0, 7)),
        both_days=day.startswith("*") or weekday.startswith("*"),
        is_fixed=not (minute.startswith("*") or hour.startswith("*")),
    )


def _numbers(field: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            begin, _, end = span.partition("-")
            first = _number(begin)
            last = _number(end) if end else (high if step else first)
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NAMES[text]


@cache
def _offset(zone: str, quarter: int) -> int:
    """Return the seconds by which clocks of *zone* are ahead of UTC in that quarter."""
    when = datetime.fromtimestamp(quarter * QUARTER, UTC)
    offset = when.astimezone(ZoneInfo(zone)).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


@cache
def _stretches(zone: str, begin: int) -> tuple[tuple[int, int, int], ...]:
    """Return begin, end and offset of the times without a clock change in a block.

    A day more on either side.
    """
    first, last = begin - 2 * DAY, begin + BLOCK + 2 * DAY
    offsets = [(at, _offset(zone, at // QUARTER)) for at in range(first, last, QUARTER)]
    edges = [first]
    edges += [at for (_, one), (at, two) in pairwise(offsets) if one != two]
    found = []
    for start, end in pairwise([*edges, last]):
        found.append((start, end, _offset(zone, start // QUARTER)))
    return tuple(found)


@lru_cache(maxsize=4096)
def _block(expression: str, zone: str, number: int) -> tuple[float, ...]:
    begin = number * BLOCK
    wanted = table(expression)
    stretches = _stretches(zone, begin)
    found: set[float] = set()
    times = sorted(h * 3600 + m * 60 for h in wanted.hours for m in wanted.minutes)
    # Wall clocks are written as if they were UTC.
    walls: dict[int, list[float]] = {}
    for start, end, offset in stretches:
        day = (start + offset) // DAY * DAY
        while day < end + offset:
            if wanted.has_day(_wall(day)):
                for time in times:
                    if start <= day + time - offset < end:
                        walls.setdefault(day + time, []).append(day + time - offset)
            day += DAY
    for instants in walls.values():
        found.update([min(instants)] if wanted.is_fixed else instants)
    if wanted.is_fixed:
        for (_, change, before), (_, _, after) in pairwise(stretches):
            # The wall clock leaves out what lies between these.
            for wall in range(change + before, change + after, 60):
                day, time = wall // DAY * DAY, wall % DAY
                if time in times and wanted.has_day(_wall(day)):
                    found.add(change)
    return tuple(sorted(at for at in found if begin <= at < begin + BLOCK))


def _wall(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Crontab:
    """The slots of one cron expression on the clocks of one zone."""

    expression: str
    zone: str

    def after(self, instant: float) -> float:
        """Return the first slot later than *instant*."""
        number = int(instant // BLOCK)
        for block in range(number, number + 40):
            slots = _block(self.expression, self.zone, block)
            place = bisect_right(slots, instant)
            if place < len(slots):
                return slots[place]
        return math.inf
