"""Slots of schedules by the wall clock, in blocks of time that are cached."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from afterrun_exporter.core.schedules import cron, exclusions, oncalendar
from afterrun_exporter.core.schedules.exclusions import Exclusions
from afterrun_exporter.core.schedules.plans import Plan

_HOUR: Final = 3600
_DAY: Final = timedelta(days=1)
_NOTHING: Final = timedelta()
_MINUTES_OF_DAY: Final = 1440
#: Days to search for one that is not excluded.
_SEARCHED: Final = 50 * 366


class Syntax(StrEnum):
    """The syntax of expressions."""

    CRON = "cron"
    ONCALENDAR = "oncalendar"


@dataclass(frozen=True, slots=True)
class Source:
    """All that the slots of a schedule depend on."""

    #: At least one; a slot of any of them is a slot.
    expressions: tuple[str, ...]
    zone: str
    syntax: Syntax = Syntax.CRON
    #: Days of the zone without slots, as in `exclusions`.
    exclude: tuple[str, ...] = ()


@lru_cache(maxsize=8192)
def plans(source: Source) -> tuple[Plan, ...]:
    """Return the plans of all expressions; raise ValueError if one has errors."""
    parse = cron.plan if source.syntax is Syntax.CRON else oncalendar.plan
    return tuple(parse(one, source.zone) for one in source.expressions)


@lru_cache(maxsize=8192)
def width(source: Source) -> int:
    """Return the length of a block in seconds, with about 64 slots on due days."""
    number = sum(len(plan.times) for plan in plans(source))
    least = 6 if number <= _MINUTES_OF_DAY else 1
    return max(least, 64 * 24 // number) * _HOUR


@lru_cache(maxsize=16384)
def block(source: Source, number: int) -> array[float]:
    """Return the slots in one block of time, and the first one after it."""
    start, end = number * width(source), (number + 1) * width(source)
    excluded = exclusions.parse(source.exclude) if source.exclude else None
    zone = ZoneInfo(source.zone)
    slots = {math.inf}
    for plan in plans(source):
        for of_a_day in _Window(plan, start, end, excluded, zone).slots():
            slots.update(of_a_day)
    ordered = sorted(slots)
    return array("d", ordered[: bisect_left(ordered, end) + 1])


@dataclass(frozen=True, slots=True)
class _Window:
    """The slots of one plan in one block of time, without excluded days."""

    plan: Plan
    start: float
    end: float
    excluded: Exclusions | None
    #: The zone of excluded days.
    zone: ZoneInfo

    def slots(self) -> Iterator[list[float]]:
        """Yield the slots from the start to the end, and the first one after it.

        Those of one day of the wall clock after the other, perhaps with later ones.
        """
        # Clocks set back over midnight repeat the end of a day after the next one has
        # begun. So a neighbouring day may have slots between those of this one.
        first_day = self._day(self.start, self.plan.zone) - 1
        last_day = self._day(self.end, self.plan.zone) + 1
        for day in self.plan.days_from(first_day):
            if self.excluded is None:
                slots = self._slots_of(day)
            elif day > last_day + _SEARCHED:
                return
            elif self._is_free(day, self.excluded):
                continue
            else:
                slots = self._allowed(self._slots_of(day), self.excluded)
            yield slots
            if day >= last_day and max(slots, default=-math.inf) >= self.end:
                return

    def _slots_of(self, day: int) -> list[float]:
        """Return the slots of a *day* of the wall clock from the start on, as above."""
        times, zone = self.plan.times, self.plan.zone
        midnight = datetime.fromordinal(day).replace(tzinfo=zone)
        next_midnight = (midnight + _DAY).replace(fold=1)
        base = midnight.timestamp()
        before, after = midnight.utcoffset(), next_midnight.utcoffset()
        shift = 0.0
        if before != after:
            shift = abs((after or _NOTHING) - (before or _NOTHING)).total_seconds()
        # No slot is further than that from where it would be without the change.
        first = bisect_left(times, self.start - base - shift)
        if self.excluded is None:
            last = bisect_left(times, self.end - base + shift, first)
            if shift and last < len(times):
                # If the clock skips that time, the first one after the gap follows.
                last = bisect_left(times, times[last] + shift, last)
            times = times[first : last + 1]
        else:
            # The first slot after the end may be excluded, and others not.
            times = times[first:]
        if not shift:
            return [base + seconds for seconds in times]
        walls = (midnight + timedelta(seconds=seconds) for seconds in times)
        slots = (slot for wall in walls for slot in self.plan.instants(wall))
        return [slot for slot in slots if slot >= self.start]

    def _allowed(self, slots: Iterable[float], excluded: Exclusions) -> list[float]:
        return [
            slot for slot in slots if not excluded.contains(self._day(slot, self.zone))
        ]

    @staticmethod
    def _is_free(day: int, excluded: Exclusions) -> bool:
        """Return True if no slot of *day* can be on a day that is not excluded."""
        # In another zone, or moved by a change of the clock, it is on a day beside it.
        return all(map(excluded.contains, range(day - 2, day + 3)))

    @staticmethod
    def _day(instant: float, zone: ZoneInfo) -> int:
        return datetime.fromtimestamp(instant, zone).toordinal()
