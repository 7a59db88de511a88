"""What time it is: the only place of the client that asks."""

from __future__ import annotations

import time


def now() -> float:
    """Return the current time in Unix seconds, as reports bear it."""
    return time.time()


def stopwatch() -> float:
    """Return seconds from an arbitrary start; a clock that is set does not move it."""
    return time.monotonic()
