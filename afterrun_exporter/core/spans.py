"""The start, the end and the duration of a run, from what a report says of them.

Any two of the three give the third. Where all three are known and do not agree, the
reported duration counts, and a warning says so.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from afterrun_exporter.core.model import Ping
from afterrun_exporter.core.state import OpenRun
from afterrun_exporter.core.units import format_duration

#: How far ahead of ours a reporting machine's clock may be without a remark.
TOLERATED_SKEW: Final = 2.0

#: How much a reported duration may differ from the time between start and end without
#: a remark: clocks are read one after the other, and adjusted during a long run.
TOLERATED_DIFFERENCE: Final = 2.0
TOLERATED_SHARE: Final = 0.01

ENDS_FIRST: Final = "the run ends before it starts: its duration is unknown"


class Span(Struct, frozen=True, gc=False):
    """The time that a run took."""

    ended_at: float
    started_at: float | None = None
    duration: float | None = None
    warnings: tuple[str, ...] = ()


def span_of(ping: Ping, open_run: OpenRun | None) -> Span:
    """Return the time that the run took that *ping* ended.

    *open_run* is that run where its start was reported. It never ends after the
    report of its end arrived.
    """
    ended, warnings = _end(ping)
    started, duration = _start(ping, open_run), ping.duration
    if warnings and ping.started_at is not None:
        # A clock that is ahead at the end was ahead at the start: only the time
        # between the two is known.
        started = None
        if duration is None and ping.ended_at is not None:
            duration = ping.ended_at - ping.started_at
    if duration is None:
        if started is None:
            return Span(ended, None, None, warnings)
        duration = ended - started
    if duration < 0:
        return Span(ended, None, None, (*warnings, ENDS_FIRST))
    if started is None:
        return Span(ended, ended - duration, duration, warnings)
    if started > ended:
        return Span(ended, ended - duration, duration, (_backwards(ping, duration),))
    between = ended - started
    if _contradict(ping, between, duration):
        warnings = (*warnings, _difference(between, duration))
    return Span(ended, started, duration, warnings)


def end_of(ping: Ping) -> float:
    """Return when the run ended that *ping* ended; not after the report arrived."""
    return _end(ping)[0]


def reported_time(
    reported: float | None, received: float, what: str
) -> tuple[float, tuple[str, ...]]:
    """Return when a thing happened, which is never after we heard of it.

    A time ahead of ours is a clock that is wrong: ours counts, and a warning
    says so.
    """
    if reported is None:
        return received, ()
    ahead = reported - received
    if ahead <= TOLERATED_SKEW:
        return min(reported, received), ()
    by = format_duration(round(ahead))
    warning = (
        f"{what} is {by} ahead of this machine's clock: the time of arrival counts"
    )
    return received, (warning,)


def _start(ping: Ping, open_run: OpenRun | None) -> float | None:
    if ping.started_at is None:
        return None if open_run is None else open_run.started_at
    if ping.at < ping.started_at <= ping.at + TOLERATED_SKEW:
        return ping.at
    return ping.started_at


def _end(ping: Ping) -> tuple[float, tuple[str, ...]]:
    ended, what = ping.ended_at, "ended_at"
    if ended is None and ping.started_at is not None and ping.duration is not None:
        ended, what = ping.started_at + ping.duration, "started_at plus the duration"
    return reported_time(ended, ping.at, what)


def _contradict(ping: Ping, between: float, duration: float) -> bool:
    """Return True if no run can have taken *duration* in the time *between*.

    Less than the time from a start report to the end is no contradiction: a job may
    report how long its work took, and not how long it waited.
    """
    tolerated = max(TOLERATED_DIFFERENCE, TOLERATED_SHARE * max(between, duration))
    if ping.started_at is not None and ping.ended_at is not None:
        return abs(between - duration) > tolerated
    return duration - between > tolerated


def _backwards(ping: Ping, duration: float) -> str:
    start = "the reported start" if ping.started_at is None else "started_at"
    end = "the end" if ping.ended_at is None else "ended_at"
    took = format_duration(round(duration, 3))
    return f"{start} is after {end}: the run counts as started {took} before its end"


def _difference(between: float, duration: float) -> str:
    took, apart = (format_duration(round(one, 3)) for one in (duration, between))
    return (
        f"the duration is {took}, but the start and the end are {apart} apart: "
        "the duration counts"
    )
