"""Conversion between RFC 3339 times and Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from afterrun_exporter.core.units import parse_duration


def parse_time(text: str) -> float:
    """Return the Unix seconds of an RFC 3339 time, in UTC if it has no offset.

    Raises ValueError if *text* is malformed.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; write it like 2026-11-22T02:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


@lru_cache(maxsize=4096)
def format_time(instant: float) -> str:
    """Return *instant* in UTC, to the second: ``2026-11-22T02:00:00Z``."""
    moment = datetime.fromtimestamp(int(instant), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


EPOCH: Final = 0.0
END: Final = parse_time("9999-12-31T00:00:00Z")


def instant(text: str, now: float) -> float:
    """Return the time *text*, or the time that is a duration *text* before *now*.

    Raises ValueError if *text* is neither.
    """
    # Times outside these years are equivalent to the limits, which can be formatted.
    return min(max(_instant(text, now), EPOCH), END)


def _instant(text: str, now: float) -> float:
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a duration nor a time: write it like 7d "
            "or 2026-11-22T02:00:00Z"
        ) from None
