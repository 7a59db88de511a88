from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterrun_exporter.core.units import (
    format_duration,
    format_number,
    parse_bytes,
    parse_duration,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("0s", 0),
    ],
)
def test_a_duration_reads_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "-5m", "m", "5M", "1 month", "1mo", "5x", "P1D", "1:30", "0",
     "\N{ARABIC-INDIC DIGIT ONE}s"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_the_way_out(text: str) -> None:
    """An M too: minutes here are months elsewhere."""
    with pytest.raises(ValueError, match="write it like 90s, 15m, 1h30m or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5", "write 5s or 5m"),
        ("300", "write 300s or 5m"),
        ("5 m", "did you mean '5m'?"),
        ("5min", "did you mean '5m'?"),
        ("1 hour", "did you mean '1h'?"),
        ("1h 30m", "did you mean '1h30m'?"),
        ("1 hour and 5 minutes", "did you mean '1h5m'?"),
        ("1.5 Hours", "did you mean '1.5h'?"),
        ("2H", "did you mean '2h'?"),
        ("PT1H30M", "did you mean '1h30m'?"),
        ("300 msec", "did you mean '300ms'?"),
    ],
)
def test_a_duration_in_other_words_is_recognised(text: str, meant: str) -> None:
    """A bare number is none: nobody can tell seconds from minutes."""
    with pytest.raises(ValueError, match=f"not a duration; {re.escape(meant)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1mb", "; did you mean '1MB'?"),
        ("1 Kib", "; did you mean '1KiB'?"),
        ("1Gi", "; did you mean '1GiB'?"),
        ("5 min", "; did you mean '5m'?"),
        ("80 percent", "; did you mean '80%'?"),
        ("5M", ": use one of ms, s, m"),
        ("5K", ": use one of ms, s, m"),
        ("5 parsecs", ": use one of ms, s, m"),
    ],
)
def test_a_unit_in_other_letters_is_recognised(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=re.escape(meant)):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "size"), [("1KiB", 1024), ("64kB", 64000), ("1.5MiB", 1572864), ("7B", 7)]
)
def test_a_size_reads_as_people_write_it(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["1", "1kb", "1 Kib", "many"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (size|number)"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-3", -3),
        ("1e3", 1000),
        ("80%", 0.8),
        ("1KiB", 1024),
        ("10m", 600),
        ("1h30m", 5400),
        ("0.5 MB", 500_000),
    ],
)
def test_a_quantity_has_its_unit_applied(text: str, number: float) -> None:
    assert parse_quantity(text) == number


def test_an_unknown_unit_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"unknown unit 'parsecs' in '5 parsecs': use"):
        parse_quantity("5 parsecs")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (1.5, "1.5s"),
        (3599.9999, "1h"),
        (0.00001234, "0.0123ms"),
        (90, "1m30s"),
        (86400, "1d"),
        (90061, "1d1h1m1s"),
        (-90, "-1m30s"),
    ],
)
def test_a_duration_is_shown_as_people_write_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_what_is_shown_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.floats(0, 1e9) | st.floats(0, 10))
@example(0.9996)
@example(59.9999)
@example(3599.9999)
@example(5e-324)
def test_any_time_that_is_shown_reads_back(seconds: float) -> None:
    shown = parse_duration(format_duration(seconds))
    assert shown == pytest.approx(seconds, rel=0.006, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.5, "0.5"),
        (-0.0, "0"),
        (1e300, "1e+300"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_number_is_written_as_prometheus_reads_it(value: float, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(allow_nan=False))
def test_no_number_loses_precision(value: float) -> None:
    assert float(format_number(value)) == value


@pytest.mark.parametrize(
    ("text", "number"), [("5 m", 300), ("-5m", -300), ("1e3 s", 1000), ("-1KiB", -1024)]
)
def test_a_quantity_may_have_a_sign_an_exponent_or_a_space(
    text: str, number: float
) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("64 kib", "did you mean '64KiB'?"),
        ("5 percent", "did you mean '5%'?"),
        ("1 hour", "did you mean '1h'?"),
        ("7 parsecs", "use one of"),
    ],
)
def test_an_unknown_unit_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="unknown unit") as error:
        parse_quantity(text)

    assert hint in str(error.value)
