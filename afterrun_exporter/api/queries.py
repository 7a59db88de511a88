"""Query parameters: each is known and given once, or the request is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from multidict import MultiMapping

from afterrun_exporter.core.timestamps import parse_time
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.errors import RequestError

EPOCH: Final = 0.0
END: Final = parse_time("9999-12-31T00:00:00Z")


def read_query(given: MultiMapping[str], *known: str) -> Mapping[str, str]:
    """Return the parameters by name; raise RequestError for any but *known* ones."""
    for name in given:
        if name not in known:
            raise RequestError(_unknown(name, known))
        if (times := len(given.getall(name))) > 1:
            raise RequestError(
                f"parameter {name!r} is given {times} times: give it once"
            )
    for name, value in given.items():
        if not value:
            raise RequestError(
                f"parameter {name!r} is empty: give it a value or leave it out"
            )
    return dict(given)


def choice(query: Mapping[str, str], name: str, words: Iterable[str]) -> str | None:
    """Return the parameter, one of *words*; None where it is not given."""
    value, allowed = query.get(name), tuple(words)
    if value is not None and value not in allowed:
        raise RequestError(f"unknown {name} {value!r}: use one of {', '.join(allowed)}")
    return value


def number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """Return the parameter, a number from 1 to *most*."""
    value = query.get(name, str(default))
    # ASCII digits and few: int() takes much more than that.
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(most))) or (
        not 1 <= int(value) <= most
    ):
        raise RequestError(
            f"{name} {value!r} is out of range: use a number from 1 to {most}"
        )
    return int(value)


def moment(query: Mapping[str, str], name: str, now: float) -> float | None:
    """Return the instant that the parameter names, or that lies so long before *now*."""
    if (value := query.get(name)) is None:
        return None
    # What lies outside these years means the same as their ends, and can be told.
    return min(max(_moment(name, value, now), EPOCH), END)


def _moment(name: str, value: str, now: float) -> float:
    try:
        return now - parse_duration(value)
    except ValueError:
        pass
    try:
        return parse_time(value)
    except (ValueError, OverflowError):
        raise RequestError(
            f"{name} {value!r} is neither a duration nor a time: write it like 7d "
            "or 2026-11-22T02:00:00Z"
        ) from None


def _unknown(name: str, known: tuple[str, ...]) -> str:
    if near := get_close_matches(name, known, n=1):
        return f"unknown parameter {name!r}; did you mean {near[0]!r}?"
    way_out = f"use {', '.join(known)}" if known else "none is read here"
    return f"unknown parameter {name!r}: {way_out}"
