"""What people write, ``1h30m``, ``1KiB``, ``80%``, to numbers and back."""

from __future__ import annotations

import math
import re
from typing import Final

SECONDS: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
}

BYTES: Final = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

# ASCII: float() reads the digits of any script; nobody else on the way does.
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds that *text* stands for, such as ``90s`` or ``1h30m``.

    Raises ValueError for anything else, a bare number included: 300 what?
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a duration; write it like 90s, 15m, 1h30m or 7d"
        )
    parts = _DURATION_PART.findall(text)
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def parse_bytes(text: str) -> int:
    """Return the bytes that *text* stands for, such as ``1MiB`` or ``64kB``."""
    number, unit = _split(text)
    if unit not in BYTES or not math.isfinite(number):
        raise ValueError(f"{text!r} is not a size; write it like 64KiB, 1MiB or 10MB")
    return int(number * BYTES[unit])


def parse_quantity(text: str) -> float:
    """Return the number that *text* stands for, its unit applied.

    Durations become seconds, sizes bytes, ``80%`` is 0.8; no unit, no change.
    """
    if _DURATION.fullmatch(text):
        return parse_duration(text)
    number, unit = _split(text)
    if not unit:
        return number
    if unit == "%":
        return number / 100
    if unit in SECONDS:
        return number * SECONDS[unit]
    if unit in BYTES:
        return number * BYTES[unit]
    known = ", ".join((*SECONDS, *BYTES, "%"))
    raise ValueError(f"unknown unit {unit!r} in {text!r}: use one of {known}")


def _split(text: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number")
    return float(match[1]), match[2]


def format_duration(seconds: float) -> str:
    """Return *seconds* the way people write it: ``90`` becomes ``1m30s``."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    parts = []
    whole, fraction = divmod(seconds, 1)
    rest = int(whole)
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, int(SECONDS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    if rest or fraction or not parts:
        parts.append(f"{rest + round(fraction, 3):g}s")
    return "".join(parts)


def format_number(value: float) -> str:
    """Return the shortest text that reads back as *value*, without a needless ``.0``.

    What is not finite is written as Prometheus does: ``NaN``, ``+Inf``, ``-Inf``.
    """
    if not value:
        return "0"
    value = float(value)
    if value.is_integer() and abs(value) < 10**15:
        return str(int(value))
    if math.isfinite(value):
        return repr(value)
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"
