"""Garbage collection settings of the daemon."""

from __future__ import annotations

import gc
from typing import Final

#: The number of new objects before a collection.
GARBAGE: Final = 50_000


def tune() -> None:
    """Freeze long-lived objects and make garbage collection less frequent.

    Pings create no reference cycles, and many jobs have many long-lived objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, *gc.get_threshold()[1:])
