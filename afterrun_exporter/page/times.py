"""Instants and spans as people read them: exact, in a job's own zone, and how long ago."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Cron
from afterrun_exporter.core.timestamps import format_time

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))

#: Later than this is no day that a calendar could show.
_END: Final = datetime(9900, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant, ready to be shown."""

    #: For machines: RFC 3339, in UTC.
    iso: str
    utc: str
    #: In the zone of the job; "" where that is UTC.
    local: str
    #: In UTC beside `local`: without the day where that is the same.
    beside: str
    #: From now: ``3 h 12 min ago``, ``in 5 min``.
    away: str
    #: How far the clock was ahead that showed it, at least; "" if it is not known to be.
    ahead: str = ""


def moment(instant: float, now: float, zone: tzinfo = UTC) -> Moment | None:
    """Return *instant* as it is shown at *now*; None for never."""
    if not instant or not math.isfinite(instant) or instant > _END:
        return None
    here, there = _shown(int(instant), zone), _shown(int(instant), UTC)
    utc = _exact(instant, now, UTC)
    return Moment(
        iso=format_time(instant),
        utc=utc,
        local="" if zone is UTC else _exact(instant, now, zone),
        beside=there[2] if here[0] == there[0] else utc,
        away=away(instant - now),
    )


def happened(instant: float, now: float, zone: tzinfo = UTC) -> Moment | None:
    """Return *instant* as it is shown if it is recorded of something that has happened.

    If it lies ahead, this machine's clock was ahead then, and has been set back.
    """
    shown, seconds = moment(instant, now, zone), instant - now
    if shown is None or seconds < 1:
        return shown
    return replace(shown, away=f"{span(seconds)} ahead", ahead=span(seconds))


def zone_of(job: Job) -> tzinfo:
    """Return the zone on whose clocks *job* is scheduled: UTC unless it says so."""
    if isinstance(job.schedule, Cron) and job.schedule.zone != "UTC":
        return ZoneInfo(job.schedule.zone)
    return UTC


def away(seconds: float) -> str:
    """Return how far off something is that many seconds ahead, or ago."""
    if abs(seconds) < 1:
        return "just now"
    if seconds < 0:
        return f"{span(-seconds)} ago"
    return f"in {span(seconds)}"


def span(seconds: float) -> str:
    """Return a length of time in its two largest units: ``3 h 12 min``."""
    whole = int(seconds)
    for (unit, size), (smaller, less) in zip(
        _UNITS, (*_UNITS[1:], ("", 0)), strict=True
    ):
        if whole >= size:
            count, rest = divmod(whole, size)
            more = rest // less if less else 0
            return f"{count} {unit} {more} {smaller}" if more else f"{count} {unit}"
    return "0 s"


def _exact(instant: float, now: float, zone: tzinfo) -> str:
    then = _shown(int(instant), zone)
    year = "" if then[1] == _shown(int(now), zone)[1] else f" {then[1]}"
    return f"{then[0]}{year} {then[2]}"


@lru_cache(maxsize=8192)
def _shown(instant: int, zone: tzinfo) -> tuple[str, int, str]:
    when = datetime.fromtimestamp(instant, zone)
    time = f"{when:%H:%M:%S}" if when.second else f"{when:%H:%M}"
    return f"{when:%a} {when.day} {when:%b}", when.year, f"{time} {when:%Z}"
