"""Conversion of durations, sizes and numbers: ``1h30m``, ``1KiB``, ``80%``."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from decimal import Decimal
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

KIB: Final = BYTES["KiB"]

#: Units as people write them.
_UNITS: Final = {
    word: unit
    for unit, words in {
        "ms": "ms msec msecs millisecond milliseconds",
        "s": "s sec secs second seconds",
        "m": "m min mins minute minutes",
        "h": "h hr hrs hour hours",
        "d": "d day days",
        "w": "w wk wks week weeks",
    }.items()
    for word in words.split()
}
_SPOKEN = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*(?:,|and\b)?", re.ASCII)
LONGEST_TEXT: Final = 100

#: Seconds of the shortest duration that is written; shorter ones are written like it.
SHORTEST: Final = 1e-6

# ASCII: float() would accept digits of any script, which no other program does.
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``90s`` or ``1h30m``.

    Raises ValueError for anything else, also for a number without a unit.
    """
    if not _DURATION.fullmatch(text):
        hint = _duration_hint(text) or "write it like 90s, 15m, 1h30m or 7d"
        raise ValueError(f"{text!r} is not a duration; {hint}")
    parts = _DURATION_PART.findall(text)
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def written_duration(text: str) -> str | None:
    """Return *text* as a duration if it is unambiguous: ``5 min`` is ``5m``."""
    parts = _SPOKEN.sub(r" \1 \2 ", text.removeprefix("PT").strip()).split()
    if not text or len(parts) % 2 or len(text) > LONGEST_TEXT:
        return None
    # A capital M may mean months or megabytes.
    units = [
        _UNITS.get(unit if unit == "M" and not text.startswith("PT") else unit.lower())
        for unit in parts[1::2]
    ]
    duration = "".join(f"{n}{unit}" for n, unit in zip(parts[::2], units, strict=True))
    return duration if None not in units and _DURATION.fullmatch(duration) else None


def _duration_hint(text: str) -> str:
    if re.fullmatch(r"[1-9]\d{0,5}", text.strip(), re.ASCII):
        return f"write {' or '.join(ways(int(text)))}"
    duration = written_duration(text)
    return f"did you mean {duration!r}?" if duration else ""


def ways(number: int) -> tuple[str, str]:
    """Return the possible durations for a *number* without a unit."""
    minutes = f"{number}m"
    return f"{number}s", format_duration(number) if number >= SECONDS["m"] else minutes


def parse_bytes(text: str) -> int:
    """Return the bytes of a size such as ``1MiB`` or ``64kB``."""
    number, unit = _split(text)
    if unit not in BYTES or not math.isfinite(number):
        hint = _unit_hint(text, unit, BYTES) or "; write it like 64KiB, 1MiB or 10MB"
        raise ValueError(f"{text!r} is not a size{hint}")
    return int(number * BYTES[unit])


def parse_quantity(text: str) -> float:
    """Return the number of a text with an optional unit.

    Durations become seconds, sizes bytes, ``80%`` becomes 0.8.
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
    units = ", ".join((*SECONDS, *BYTES, "%"))
    hint = _unit_hint(text, unit, {**BYTES, **_UNITS}) or f": use one of {units}"
    raise ValueError(f"unknown unit {unit!r} in {text!r}{hint}")


def unit_of(text: str) -> str:
    """Return the base unit of a quantity: "s", "B", "%", or "" for a plain number."""
    if _DURATION.fullmatch(text):
        return "s"
    _, unit = _split(text)
    if unit in BYTES:
        return "B"
    return "s" if unit in SECONDS else unit


def _unit_hint(text: str, unit: str, among: Collection[str]) -> str:
    """Return a hint for a unit in other case or in words; "" without one."""
    number = text.removesuffix(unit).rstrip()
    # A single letter may be a unit of size and of time.
    few = [one for one in BYTES if len(unit) > 1 and one.lower() == unit.lower()]
    few += [f"{unit}B"] if f"{unit}B" in BYTES and len(unit) > 1 else []
    if not few and unit.lower() in _UNITS and unit != "M" and "m" in among:
        few = [_UNITS[unit.lower()]]
    if unit.lower() in {"percent", "pct"} and "m" in among:
        few = ["%"]
    return f"; did you mean {number + few[0]!r}?" if few else ""


def _split(text: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number")
    return float(match[1]), match[2]


def format_duration(seconds: float) -> str:
    """Return *seconds* as people write it: ``90`` becomes ``1m30s``."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if 0 < seconds < 0.9995:
        # Never as an exponent, which no program reads as a duration.
        return f"{Decimal(f'{max(seconds, SHORTEST) * 1000:.3g}'):f}ms"
    parts = []
    whole, fraction = divmod(round(seconds, 3), 1)
    rest = int(whole)
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, int(SECONDS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    if rest or fraction or not parts:
        parts.append(f"{rest + round(fraction, 3):g}s")
    return "".join(parts)


def format_measured(value: float, unit: str) -> str:
    """Return *value* with a *unit* of `unit_of`, as alerting rules format it.

    That is the format of the templates of Prometheus, with four digits and without
    spaces and zeros in durations: ``1.185 KiB``, ``12m5s``, ``4.5%``.
    """
    if unit == "B":
        return _format_bytes(value)
    if unit == "s":
        return _ZEROS.sub("", _format_seconds(value))
    return f"{value * 100:.4g}%" if unit == "%" else f"{value:.10g}"


#: Spaces of a duration, with the zeros at its end.
_ZEROS: Final = re.compile("( 0[hms])+$| ")


def rounded(value: float, unit: str, limit: float = math.nan) -> float:
    """Return *value* in its precision for people: 1213 B become 1.2 KiB.

    It keeps its digits if it would look like the *limit* without them.
    """
    if unit != "B" or not math.isfinite(value):
        return value
    size = 1.0
    while abs(value) >= KIB * size:
        size *= KIB
    short = round(value / size, 1) * size if size > 1 else value
    same = format_measured(short, unit) == format_measured(limit, unit)
    return value if same else short


def format_exactly(value: float, unit: str) -> str:
    """Return *value* with a *unit* of `unit_of`, and all its digits."""
    if not math.isfinite(value):
        return format_number(value)
    match unit:
        case "B":
            return _size_exactly(value)
        case "s":
            return format_duration(value)
        case "%":
            return f"{format_number(round(value * 100, 6))}%"
    return format_number(value)


def _size_exactly(value: float) -> str:
    for name, size in _SIZES:
        if value and value % size == 0:
            return f"{value / size:,.15g} {name}"
    for name, size in _SIZES[:4]:
        # 1.2 KiB is no whole number of bytes.
        if abs(value) >= size and round(value / size, 3) * size == value:
            return f"{value / size:,.15g} {name}"
    return f"{value:,.15g} B"


#: Sizes, those of powers of two first, the largest first.
_SIZES: Final = tuple(
    (name, BYTES[name]) for name in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB")
)


def _format_bytes(value: float) -> str:
    if not math.isfinite(value):
        return f"{format_number(value)} B"
    prefixes = iter(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"))
    prefix = ""
    while abs(value) >= KIB and (larger := next(prefixes, "")):
        value, prefix = value / KIB, larger
    return f"{value:.4g} {prefix}B"


def _format_seconds(value: float) -> str:
    if not math.isfinite(value):
        return format_number(value)
    if value and abs(value) < 1:
        prefix = ""
        for smaller in "munpfazy":
            if abs(value) >= 1:
                break
            value, prefix = value * 1000, smaller
        return f"{value:.4g}{prefix}s"
    sign, value = "-" if value < 0 else "", abs(value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{value:.4g}s"


def format_number(value: float) -> str:
    """Return the shortest text that parses as *value*, without a trailing ``.0``.

    Special values are written as in Prometheus: ``NaN``, ``+Inf``, ``-Inf``.
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
