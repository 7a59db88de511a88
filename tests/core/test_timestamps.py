"""Times as people and programs write them."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.timestamps import (
    END,
    EPOCH,
    format_time,
    instant,
    parse_time,
)

NOON = parse_time("2026-11-22T12:00:00Z")


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T12:00:00Z", "2026-11-22T12:00:00", "2026-11-22T14:00:00+02:00"],
)
def test_a_time_without_an_offset_is_in_utc(text: str) -> None:
    assert format_time(parse_time(text)) == "2026-11-22T12:00:00Z"


def test_what_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="'noon' is not a time; write it like 2026"):
        parse_time("noon")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", NOON - 3600),
        ("7d", NOON - 7 * 86400),
        ("2026-11-22T00:00:00Z", NOON - 12 * 3600),
        ("9999999d", EPOCH),
        ("1900-01-01T00:00:00Z", EPOCH),
        ("9999-12-31T23:59:59Z", END),
    ],
)
def test_an_instant_is_a_time_or_a_duration_before_now(
    text: str, seconds: float
) -> None:
    assert instant(text, NOON) == seconds


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a duration nor a time"):
        instant("yesterday", NOON)
