"""Times and ages in the output of commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_AGES: Final = ((172_800, 86_400, "d"), (7200, 3600, "h"), (120, 60, "m"), (0, 1, "s"))

#: The difference of two clocks that is ignored, in seconds.
SKEW: Final = 60.0


def local(moment: str) -> str:
    """Return an RFC 3339 time in local time, with its offset."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M %z}"


def when(moment: str | None, now: float) -> str:
    """Return an RFC 3339 time in local time with its age."""
    if moment is None:
        return "never"
    then = datetime.fromisoformat(moment)
    seconds = now - then.timestamp()
    relative = f"{age(abs(seconds))} ago" if seconds >= 0 else f"in {age(-seconds)}"
    return f"{local(moment)} ({relative})"


def happened(moment: str | None, now: float) -> str:
    """Return the formatted time of a past event.

    If it is in the future, the daemon's clock was ahead or this one is behind.
    """
    if moment is None or (seconds := _seconds(moment) - now) < 0:
        return when(moment, now)
    ahead = "just now" if seconds < SKEW else f"{age(seconds)} ahead of this clock"
    return f"{local(moment)} ({ahead})"


def between(start: str, end: str | None, now: float) -> float:
    """Return the seconds from *start* to *end*, or to *now* if it has no end."""
    until = now if end is None else _seconds(end)
    return max(0.0, until - _seconds(start))


def age(seconds: float) -> str:
    """Return an approximate duration in one unit."""
    size, unit = next((s, u) for least, s, u in _AGES if seconds >= least)
    return f"{int(seconds // size)}{unit}"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).astimezone(UTC).timestamp()
