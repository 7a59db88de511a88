"""Formats of metrics, and the choice by an Accept header.

OpenMetrics differs from the text format in the names of counter families and in the
last line. Names of series and their values are the same, so that queries do not depend
on the format that Prometheus asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple

#: Prometheus 3 refuses a scrape without it.
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

_OPENMETRICS: Final = "application/openmetrics-text"
#: The supported versions. A client that names none may know only the oldest one.
_OPENMETRICS_VERSIONS: Final[Mapping[str, str]] = {
    "1.0.0": "1.0.0",
    "0.0.1": "0.0.1",
    "": "0.0.1",
}
_TEXT_VERSIONS: Final = frozenset({"0.0.4", ""})
#: Ways to write names that old parsers cannot read. No exposed name is one, so they
#: all give the same text; the response repeats what the client asked for.
_ESCAPINGS: Final = frozenset({"allow-utf-8", "underscores", "dots", "values"})

#: The units that names of families end with.
_UNITS: Final = ("seconds", "bytes")


class Format(NamedTuple):
    """The format of a response."""

    content_type: str = TEXT
    is_openmetrics: bool = False


class _MediaRange(NamedTuple):
    """A part of an Accept header, or of Accept-Encoding."""

    type: str
    parameters: Mapping[str, str]
    quality: float


@lru_cache(64)
def negotiate(accept: str) -> Format:
    """Return the format that the client prefers; the text format by default.

    Unknown and malformed parts of the header are ignored, like in client_golang.
    """
    ranges = [one for one in _ranges(accept) if one.quality > 0]
    ranges.sort(key=lambda one: (-one.quality, "*" in one.type))
    return next(_formats(ranges), Format())


@lru_cache(64)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return True if the client accepts responses that are compressed with gzip."""
    return any(
        one.type in {"gzip", "x-gzip"} and one.quality > 0
        for one in _ranges(accept_encoding)
    )


def _formats(ranges: Iterable[_MediaRange]) -> Iterator[Format]:
    """Yield the supported formats in *ranges*."""
    for one in ranges:
        version = one.parameters.get("version", "")
        if one.type == _OPENMETRICS and version in _OPENMETRICS_VERSIONS:
            version = _OPENMETRICS_VERSIONS[version]
            content_type = f"{_OPENMETRICS}; version={version}; charset=utf-8"
            yield Format(content_type + _escaping(one), is_openmetrics=True)
        elif one.type == "text/plain" and version in _TEXT_VERSIONS:
            yield Format(TEXT + _escaping(one))
        elif one.type in {"text/*", "*/*"}:
            yield Format()


def _escaping(one: _MediaRange) -> str:
    escaping = one.parameters.get("escaping")
    return f"; escaping={escaping}" if escaping in _ESCAPINGS else ""


def _ranges(accept: str) -> Iterator[_MediaRange]:
    for part in accept.split(","):
        type_, *rest = part.split(";")
        pairs = [one.partition("=") for one in rest]
        parameters = {
            key.strip().lower(): value.strip().strip('"') for key, _, value in pairs
        }
        with suppress(ValueError):
            quality = float(parameters.get("q", "1"))
            yield _MediaRange(type_.strip().lower(), parameters, min(quality, 1.0))


def header(name: str, kind: str, text: str, *, is_openmetrics: bool = False) -> str:
    """Return the lines before the samples of the family *name*.

    UNIT is a comment in the text format. It is there so that families which are no
    counters have the same bytes in both formats.
    """
    if is_openmetrics and kind == "counter":
        name = name.removesuffix("_total")
    lines = f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    return lines + (f"# UNIT {name} {unit}\n" if (unit := unit_of(name)) else "")


def unit_of(name: str) -> str:
    """Return the unit of a family; "" for none."""
    unit = name.rpartition("_")[2]
    return unit if unit in _UNITS else ""
