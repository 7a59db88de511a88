"""Formatting of numbers, and round values for axes."""

from __future__ import annotations

import math
from typing import Final

from afterrun_exporter.core.rules import unit_by_name
from afterrun_exporter.core.units import (
    format_duration,
    format_exactly,
    format_number,
)
from afterrun_exporter.page.times import span

#: The smallest value for each unit, its divisor and its symbol.
_SI: Final = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
_BINARY: Final = tuple(
    (2.0**n, 2.0**n, f" {unit}")
    for n, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"))
)

#: Round numbers for the end of an axis: of anything, of bytes, and of seconds.
_STEPS: Final = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_BYTES: Final = (1, 2, 4, 8, 16, 32, 64, 100, 150, 200, 300, 400, 600, 800, 1024)
_TIMES: Final = tuple(
    count * unit
    for unit, counts in (
        (1, (1, 2, 4, 6, 10, 20, 30, 40)),
        (60, (1, 2, 4, 6, 10, 20, 30, 40)),
        (3600, (1, 2, 4, 6, 8, 12, 16)),
        (86400, (1, 2, 4, 6, 10, 20, 30)),
    )
    for count in counts
)


def readable(value: float) -> str:
    """Return *value* with thousands separators and up to six decimals."""
    if not math.isfinite(value) or abs(value) >= 1e15 or 0 < abs(value) < 1e-6:
        return format_number(value)
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def short(value: float, metric: str = "", unit: str = "") -> str:
    """Return *value* of *metric* in a short form: ``48 KiB``, ``1.2M``, ``4m10s``."""
    match unit or unit_by_name(metric):
        case "s":
            return _time(value)
        case "B":
            return _scaled(value, _BINARY) or f"{value:.4g} B"
        case "%":
            return f"{value * 100:.4g}%"
    return _scaled(value, _SI) or f"{value:.4g}"


def in_unit(value: float, metric: str, unit: str = "") -> str:
    """Return *value* of *metric* for people: ``1.2 KiB``, ``6m58s``, ``3.4%``, ``1,213``.

    *unit* is that of its rule, if that has one.
    """
    if not math.isfinite(value):
        return format_number(value)
    match unit or unit_by_name(metric):
        case "s":
            return span(value)
        case "B":
            return _size(value)
        case "%":
            return f"{readable(float(f'{value * 100:.4g}'))}%"
    return readable(value)


def exactly(value: float, metric: str, unit: str = "") -> str:
    """Return *value* of *metric* with all its digits, as `in_unit` does."""
    unit = unit or unit_by_name(metric)
    return format_exactly(value, unit) if unit else readable(value)


def _time(seconds: float) -> str:
    if abs(seconds) >= 86400:
        return format_duration(round(seconds / 3600) * 3600)
    if abs(seconds) >= 600:
        return format_duration(round(seconds / 60) * 60)
    if abs(seconds) >= 10:
        return format_duration(round(seconds))
    return format_duration(float(f"{seconds:.2g}"))


def _size(value: float) -> str:
    for start, size, symbol in _BINARY:
        if abs(value) >= start:
            return f"{readable(round(value / size, 1))}{symbol}"
    return f"{readable(value)} B"


def _scaled(value: float, units: tuple[tuple[float, float, str], ...]) -> str:
    for start, size, unit in units:
        if abs(value) >= start:
            return f"{value / size:.3g}{unit}"
    return ""


def top_of(largest: float, metric: str = "", unit: str = "") -> float:
    """Return a round number, at least *largest*, for the top of an axis."""
    if largest <= 0 or not math.isfinite(largest):
        return 1.0
    unit = unit or unit_by_name(metric)
    if unit == "s" and 1 <= largest <= _TIMES[-1]:
        return float(next(time for time in _TIMES if time >= largest))
    if unit == "B" and 1 <= largest < 2.0**60:
        size = 1024.0 ** math.floor(math.log(largest, 1024))
        return next((n * size for n in _BYTES if n * size >= largest), largest)
    power = 10.0 ** math.floor(math.log10(largest))
    top = next((n * power for n in _STEPS if n * power >= largest), largest)
    return top if math.isfinite(top) else largest
