"""Instants as people and programs write them, RFC 3339, to Unix seconds and back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def parse_time(text: str) -> float:
    """Return the Unix seconds of an RFC 3339 time; without an offset it is UTC.

    Raises ValueError when *text* is no such time.
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
