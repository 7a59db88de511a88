"""Types and limits of the fields of a report, and their error messages."""

from __future__ import annotations

import re
from typing import Final

from afterrun_exporter.core.timestamps import parse_time

#: The largest integer in SQLite and most languages.
MAX_INT: Final = 2**63 - 1

#: The year 5138; later times are milliseconds sent as seconds.
MAX_TIME: Final = 1e11

MAX_RUN_ID: Final = 256

#: Stricter than Python's float(), which accepts other digits and 1_000.
_NUMBER: Final = re.compile(
    r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf(inity)?|nan)",
    re.ASCII | re.IGNORECASE,
)


def number(text: str) -> float | None:
    """Return *text* as a number; None if it is none."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def run_id(value: object) -> object:
    """Return an integer as a string; any other value unchanged."""
    return str(value) if isinstance(value, int) else value


def instant(value: object) -> float:
    """Return a time, given as text or Unix seconds, in Unix seconds."""
    if isinstance(value, str):
        value = parse_time(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a time such as 2026-11-22T02:00:00Z")
    if not 0 < value < MAX_TIME:
        raise ValueError(f"{value!r} is not a time in Unix seconds")
    return float(value)


def duration(value: float) -> float:
    """Return *value* if it is a valid duration in seconds; raise ValueError if not."""
    if not 0 <= value < MAX_TIME:
        raise ValueError(
            f"{value!r} is not a duration; it must be 0 or more, and less than "
            f"{MAX_TIME:g} s"
        )
    return value


def flag(value: object) -> bool:
    """Return *value* as a boolean; raise ValueError for any other value."""
    values = {"true": True, "1": True, "false": False, "0": False}
    result = (
        values.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    )
    if result is None:
        raise ValueError("history must be true or false")
    return result


def silence(value: float) -> float:
    """Return *value* if it is a valid interval between signs of life; raise ValueError if not."""
    if not 0 < value < MAX_TIME:
        raise ValueError(f"{value!r} is not an interval between two signs of life")
    return value


def exit_status(value: object) -> object:
    """Return a text or float with an integral value as an integer; others unchanged."""
    # Scripts send `"exit_code": "$?"`; some languages have only floats.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,10}", value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
