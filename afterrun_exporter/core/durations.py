"""Durations of runs in buckets, a character for each run, and their percentiles."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Final

#: The ratio of the bounds of a bucket of durations: values are exact to 3 percent.
GROWTH: Final = 1.03
_SHORTEST: Final = 0.001
_BUCKETS: Final = 1000
#: The character of the first bucket. All of them have two bytes in UTF-8.
_FIRST: Final = 0x100

#: Units of round durations, from the roundest on: from a minute on, and below it.
_DAY: Final = 86_400.0
_MINUTE: Final = 60.0
_LONG: Final = (
    *(10 * _DAY, _DAY, 36_000.0, 3600.0, 1800.0, 600.0, 300.0, _MINUTE),
    *(30.0, 10.0, 5.0, 1.0),
)
_SHORT: Final = (
    10.0,
    5.0,
    1.0,
    0.5,
    0.1,
    0.05,
    0.01,
    0.005,
    0.001,
    5e-4,
    1e-4,
    5e-5,
    1e-5,
)

#: UTF-16 in the byte order of this machine.
_NATIVE: Final = f"utf-16-{sys.byteorder[0]}e"


def mark_of(duration: float) -> str:
    """Return the character for *duration*: equal for nearly equal ones."""
    if duration <= _SHORTEST:
        return chr(_FIRST)
    bucket = math.ceil(math.log(duration / _SHORTEST) / math.log(GROWTH))
    return chr(_FIRST + min(bucket, _BUCKETS))


def duration_of(code: int) -> float:
    """Return the roundest duration of a bucket, whose mark has this code point.

    Other digits would be false: all durations of the bucket have the same mark.
    """
    return _durations()[code - _FIRST]


@cache
def _durations() -> list[float]:
    return [0.0, *(_roundest(bucket) for bucket in range(1, _BUCKETS + 1))]


def _roundest(bucket: int) -> float:
    high = _SHORTEST * float(GROWTH**bucket)
    low, middle = high / GROWTH, high / math.sqrt(GROWTH)
    multiples = (
        round(round(middle / unit) * unit, 6)
        for unit in (_LONG if middle >= _MINUTE else _SHORT)
    )
    return next(seconds for seconds in multiples if low < seconds <= high)


def count_marks(marks: str) -> dict[int, int]:
    """Return the number of each character of *marks*, by its code point."""
    base, counts = _counts(marks)
    return {base + code: number for code, number in counts.items()}


def percentiles_of(marks: str, shares: Sequence[float]) -> list[float | None]:
    """Return the percentiles of the durations of *marks*."""
    base, counts = _counts(marks)
    return percentiles(counts, shares, base)


def percentiles(
    durations: Mapping[int, int], shares: Sequence[float], base: int = 0
) -> list[float | None]:
    """Return the percentiles of *durations*, the numbers of runs by code point - *base*."""
    if not durations:
        return [None] * len(shares)
    codes = sorted(durations)
    counts = list(accumulate(map(durations.__getitem__, codes)))
    ranks = (math.ceil(share * counts[-1]) for share in shares)
    return [duration_of(base + codes[bisect_left(counts, rank)]) for rank in ranks]


def _counts(marks: str) -> tuple[int, Counter[int]]:
    """Return a base, and the number of each character by its code point less the base."""
    low, high = (data := marks.encode("utf-16-le"))[::2], data[1::2]
    if high.strip(high[:1]):
        return 0, Counter(memoryview(marks.encode(_NATIVE)).cast("H"))
    # The durations of most jobs are similar. Numbers below 256 are counted much faster.
    return high[0] << 8 if high else 0, Counter(low)
