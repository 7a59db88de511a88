"""Start, end and duration of a run, from the fields of its reports.

Any two of them give the third. If all three are reported and contradict, the reported
duration counts, with a warning.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from afterrun_exporter.core.model import Ping
from afterrun_exporter.core.state import OpenRun
from afterrun_exporter.core.units import format_duration

#: Seconds that a client's clock may be ahead of ours without a warning.
TOLERATED_SKEW: Final = 2.0

#: Difference between the reported duration and the time from start to end that needs no
#: warning: clocks are read one after the other, and adjusted during a long run.
TOLERATED_DIFFERENCE: Final = 2.0
TOLERATED_SHARE: Final = 0.01

ENDS_FIRST: Final = "the run ends before it starts: its duration is unknown"


class RunTimes(Struct, frozen=True, gc=False):
    """The time that a run took."""

    ended_at: float
    started_at: float | None = None
    duration: float | None = None
    warnings: tuple[str, ...] = ()


def times_of(ping: Ping, open_run: OpenRun | None) -> RunTimes:
    """Return the times of the run that *ping* ended.

    *open_run* is that run if its start was reported. It never ends after the report of
    its end arrived.
    """
    end, warnings = _end(ping)
    start, duration = _start(ping, open_run), ping.duration
    if warnings and ping.started_at is not None:
        # A clock that is ahead at the end was ahead at the start: only the time
        # between them is correct.
        start = None
        if duration is None and ping.ended_at is not None:
            duration = ping.ended_at - ping.started_at
    if duration is None:
        if start is None:
            return RunTimes(end, None, None, warnings)
        duration = end - start
    if duration < 0:
        return RunTimes(end, None, None, (*warnings, ENDS_FIRST))
    if start is None:
        return RunTimes(end, end - duration, duration, warnings)
    if start > end:
        return RunTimes(end, end - duration, duration, (_backwards(ping, duration),))
    between = end - start
    if _contradict(ping, between, duration):
        warnings = (*warnings, _difference(between, duration))
    return RunTimes(end, start, duration, warnings)


def end_of(ping: Ping) -> float:
    """Return the end of the run that *ping* ended; not after the report arrived."""
    return _end(ping)[0]


def reported_time(
    reported: float | None, received: float, field: str
) -> tuple[float, tuple[str, ...]]:
    """Return the time of an event, which is never after its report arrived.

    A time in the future is due to a wrong clock: the arrival counts, with a
    warning.
    """
    if reported is None:
        return received, ()
    ahead = reported - received
    if ahead <= TOLERATED_SKEW:
        return min(reported, received), ()
    by = format_duration(round(ahead))
    warning = (
        f"{field} is {by} ahead of this machine's clock: the time of arrival counts"
    )
    return received, (warning,)


def _start(ping: Ping, open_run: OpenRun | None) -> float | None:
    if ping.started_at is None:
        return None if open_run is None else open_run.started_at
    if ping.at < ping.started_at <= ping.at + TOLERATED_SKEW:
        return ping.at
    return ping.started_at


def _end(ping: Ping) -> tuple[float, tuple[str, ...]]:
    end, field = ping.ended_at, "ended_at"
    if end is None and ping.started_at is not None and ping.duration is not None:
        end, field = ping.started_at + ping.duration, "started_at plus the duration"
    return reported_time(end, ping.at, field)


def _contradict(ping: Ping, between: float, duration: float) -> bool:
    """Return True if a run cannot have taken *duration* in the time *between*.

    Less than the time from a start report to the end is no contradiction: a job may
    report the duration of its work without waiting times.
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
