"""Formatting of instants and durations, in the time zone of a job and relative to now."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Calendar
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.core.units import format_duration

#: The seconds of the units, in descending order.
_UNITS: Final = (86400, 3600, 60, 1)

#: Durations from here on have no fractions of a second.
_PRECISE: Final = 10

#: Later instants are not formatted, as datetime cannot represent all of them.
_END: Final = datetime(9900, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Moment:
    """A formatted instant."""

    #: RFC 3339 in UTC, for the datetime attribute.
    iso: str
    utc: str
    #: In the time zone of the job; "" if that is UTC.
    local: str
    #: In UTC, next to `local`; without the day if it is the same.
    beside: str
    #: Relative to now: ``3h12m ago``, ``in 5m``.
    away: str
    #: The least time by which the clock was ahead when it was recorded, or "".
    ahead: str = ""


def moment(instant: float, now: float, zone: tzinfo = UTC) -> Moment | None:
    """Return *instant* formatted at *now*; None for never."""
    if not instant or not math.isfinite(instant) or instant > _END:
        return None
    here, there = _parts(int(instant), zone), _parts(int(instant), UTC)
    utc = _exact(instant, now, UTC)
    return Moment(
        iso=format_time(instant),
        utc=utc,
        local="" if zone is UTC else _exact(instant, now, zone),
        beside=there[2] if here[0] == there[0] else utc,
        away=away(instant - now),
    )


def happened(instant: float, now: float, zone: tzinfo = UTC) -> Moment | None:
    """Return the formatted *instant* of a recorded event.

    If it is in the future, the server's clock was ahead then and has been set back.
    """
    result, seconds = moment(instant, now, zone), instant - now
    if result is None or seconds < 1:
        return result
    ahead = span(int(seconds))
    return replace(result, away=f"{ahead} ahead", ahead=ahead)


def zone_of(job: Job) -> tzinfo:
    """Return the time zone of the schedule of *job*, by default UTC."""
    if isinstance(job.schedule, Calendar) and job.schedule.zone != "UTC":
        return ZoneInfo(job.schedule.zone)
    return UTC


def away(seconds: float) -> str:
    """Return *seconds* from now as text; negative ones are in the past."""
    if abs(seconds) < 1:
        return "just now"
    if seconds < 0:
        return f"{span(int(-seconds))} ago"
    return f"in {span(int(seconds))}"


def span(seconds: float) -> str:
    """Return a duration in its two largest units, as in afterrun.yml: ``3h12m``."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < _PRECISE:
        return format_duration(float(f"{seconds:.2g}"))
    whole = int(seconds)
    for size, smaller in pairwise(_UNITS):
        if whole >= size:
            return format_duration(whole - whole % smaller)
    return format_duration(whole)


def _exact(instant: float, now: float, zone: tzinfo) -> str:
    then = _parts(int(instant), zone)
    year = "" if then[1] == _parts(int(now), zone)[1] else f" {then[1]}"
    return f"{then[0]}{year} {then[2]}"


@lru_cache(maxsize=8192)
def _parts(instant: int, zone: tzinfo) -> tuple[str, int, str]:
    when = datetime.fromtimestamp(instant, zone)
    time = f"{when:%H:%M:%S}" if when.second else f"{when:%H:%M}"
    return f"{when:%a} {when.day} {when:%b}", when.year, f"{time} {when:%Z}"
