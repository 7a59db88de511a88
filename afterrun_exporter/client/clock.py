"""The client's clock; no other module of the client reads the time."""

from __future__ import annotations

import time


def now() -> float:
    """Return the current time in Unix seconds, as used in reports."""
    return time.time()


def stopwatch() -> float:
    """Return seconds from an arbitrary start; a clock that is set does not move it."""
    return time.monotonic()
