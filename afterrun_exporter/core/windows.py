"""What the windows of a job look at, and what they come to. No decisions are made here."""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct


class Ratio(Struct, frozen=True, gc=False):
    """How many of the runs in a window were ok."""

    ok: int
    runs: int

    @property
    def value(self) -> float:
        """The share of ok runs, from 0 to 1; NaN without any run."""
        return self.ok / self.runs if self.runs else math.nan


class History(Struct, frozen=True, kw_only=True, gc=False):
    """The runs that windows look at, in order of arrival: one column a fact.

    Made and read by core/history.py.
    """

    #: Unsigned integers of 8 bytes.
    numbers: bytes = b""
    #: Floats of 8 bytes; a duration that is unknown is NaN.
    ends: bytes = b""
    durations: bytes = b""
    #: Booleans of 1 byte.
    oks: bytes = b""
    #: Whether they ended in this order, too: nearly always, and much is faster then.
    ordered: bool = True

    def __len__(self) -> int:
        return len(self.oks)


NO_HISTORY: Final = History()
