"""Data of a job's windows, without decisions."""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct


class Ratio(Struct, frozen=True, gc=False):
    """The number of ok runs in a window."""

    ok: int
    runs: int

    @property
    def value(self) -> float:
        """The share of ok runs, from 0 to 1; NaN without any run."""
        return self.ok / self.runs if self.runs else math.nan


class History(Struct, frozen=True, kw_only=True, gc=False):
    """The runs in windows, in order of arrival: one column per fact.

    Written and read by core/history.py.
    """

    #: Unsigned integers of 8 bytes.
    numbers: bytes = b""
    #: Floats of 8 bytes; an unknown duration is NaN.
    ends: bytes = b""
    durations: bytes = b""
    #: Booleans of 1 byte.
    oks: bytes = b""
    #: True if they also ended in this order, which is usual and much faster.
    ordered: bool = True

    def __len__(self) -> int:
        return len(self.oks)


NO_HISTORY: Final = History()
