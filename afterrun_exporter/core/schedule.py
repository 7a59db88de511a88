"""Schedules: fixed intervals, and expressions that refer to the wall clock.

Instants are Unix seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from afterrun_exporter.core import crontab
from afterrun_exporter.core.schedules import oncalendar
from afterrun_exporter.core.schedules.slots import Source, Syntax, block, plans, width
from afterrun_exporter.core.units import format_duration

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
class Calendar:
    """Due at times of the wall clock; created by :func:`parse_cron`."""

    source: Source
    #: The last result, after the instant from which it is valid.
    _gap: tuple[float, float] = field(
        default=(math.inf, -math.inf), init=False, repr=False, compare=False
    )

    @property
    def expressions(self) -> tuple[str, ...]:
        """The expressions; a slot of any of them is a slot."""
        return self.source.expressions

    @property
    def zone(self) -> str:
        """The time zone."""
        return self.source.zone

    @property
    def syntax(self) -> Syntax:
        """The syntax of the expressions."""
        return self.source.syntax

    @property
    def exclude(self) -> tuple[str, ...]:
        """The days without slots, as `exclusions` writes them."""
        return self.source.exclude

    @property
    def text(self) -> str:
        """The schedule for people: its expressions."""
        return "; ".join(self.source.expressions)

    def next_after(self, instant: float) -> float:
        """Return the first slot strictly later than *instant*.

        ``math.inf`` if there is none, as for 30 February. Slots are cached by
        expressions and zone, so repeated calls are cheap, in any order of instants.
        """
        # The instant is nearly always the present, for which the slot rarely changes.
        since, slot = self._gap
        if since <= instant < slot:
            return slot
        if instant >= _END_OF_TIME:
            return math.inf
        slots = block(self.source, int(instant // width(self.source)))
        place = bisect_right(slots, instant)
        since, slot = slots[place - 1] if place else instant, slots[place]
        object.__setattr__(self, "_gap", (since, slot))
        return slot

    def between(self, first: float, until: float) -> tuple[int, float]:
        """Return the number of slots from *first* to *until*, and the last of them.

        *first* is a slot, and not later than *until*.
        """
        length = width(self.source)
        count, last = 0, first
        for number in range(int(first // length), int(until // length) + 1):
            slots = block(self.source, number)
            # The last slot belongs to a later block.
            end = bisect_right(slots, until, hi=len(slots) - 1)
            start = bisect_left(slots, first, hi=end)
            count += end - start
            last = slots[end - 1] if end > start else last
        return count, last


Schedule = Every | Calendar


def early_limit(schedule: Schedule, slot: float, early: float) -> float:
    """Return the time before *slot* in which a finish still counts for it, in seconds.

    That is *early*, but at most a tenth of the time from *slot* to the next one:
    6 seconds for a job that runs every minute.
    """
    if isinstance(schedule, Every):
        return min(early, schedule.period / 10)
    return min(early, (schedule.next_after(slot) - slot) / 10)


def parse_cron(
    texts: str | Sequence[str], zone: str, exclude: tuple[str, ...] = ()
) -> Calendar:
    """Return the schedule written as *texts* for the clocks of *zone*.

    Each has five fields as in crontab(5), or is a nickname like ``@daily``. Days of
    *exclude*, as `exclusions` writes them, have no slots. Raises ValueError with the
    problem and a correction.
    """
    crontab.check_zone(zone)
    expressions = (" ".join(crontab.split(text)) for text in _as_list(texts))
    return _calendar(expressions, zone, Syntax.CRON, exclude)


def parse_oncalendar(
    texts: str | Sequence[str], zone: str, exclude: tuple[str, ...] = ()
) -> Calendar:
    """Return the schedule written as *texts* in the syntax of systemd.time(7).

    *zone* is that of expressions without their own, and of days. Raises ValueError
    with the problem and a correction.
    """
    crontab.check_zone(zone)
    expressions = (oncalendar.normalized(text) for text in _as_list(texts))
    return _calendar(expressions, zone, Syntax.ONCALENDAR, exclude)


def syntax_of(texts: Sequence[str]) -> Syntax:
    """Return the syntax in which *texts* are probably written."""
    if any(":" in text or "*-" in text for text in texts):
        return Syntax.ONCALENDAR
    try:
        parse_cron(texts, "UTC")
    except ValueError:
        try:
            parse_oncalendar(texts, "UTC")
        except ValueError:
            return Syntax.CRON
        return Syntax.ONCALENDAR
    return Syntax.CRON


def _as_list(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


def _calendar(
    expressions: Iterable[str], zone: str, syntax: Syntax, exclude: tuple[str, ...]
) -> Calendar:
    source = Source(tuple(dict.fromkeys(expressions)), zone, syntax, exclude)
    plans(source)
    return Calendar(source)
