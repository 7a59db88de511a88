from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.page.number_format import (
    exactly,
    in_unit,
    readable,
    short,
    top_of,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0, "0"), (48211, "48,211"), (0.0125, "0.0125"), (-1234.5, "-1,234.5"),
     (1e300, "1e+300"), (1e-9, "1e-09"), (math.nan, "NaN"), (math.inf, "+Inf")],
)  # fmt: skip
def test_a_number_is_readable(value: float, text: str) -> None:
    assert readable(value) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [(120_000, "rows", "120k"), (9_999, "rows", "9999"), (1.25e6, "rows", "1.25M"),
     (0, "rows", "0"), (48_211, "size_bytes", "47.1 KiB"), (512, "size_bytes", "512 B"),
     (250, "duration", "4m10s"), (0.25, "duration", "250ms"), (5000, "duration", "1h23m"),
     (100_000, "lag_seconds", "1d4h"), (-20_000, "drift", "-20k")],
)  # fmt: skip
def test_a_tick_is_short(value: float, metric: str, text: str) -> None:
    assert short(value, metric) == text


@pytest.mark.parametrize(
    ("value", "metric", "unit", "text"),
    [(1213, "file_size_bytes", "", "1.2 KiB"), (1213, "size", "B", "1.2 KiB"),
     (12, "size", "B", "12 B"), (0, "size", "B", "0 B"), (-2048, "size", "B", "-2 KiB"),
     (0.0341, "error_ratio", "%", "3.41%"), (418.38, "duration", "", "6m58s"),
     (2940, "lag", "s", "49m"), (1213, "rows", "", "1,213"), (math.nan, "rows", "s", "NaN")],
)  # fmt: skip
def test_a_value_has_the_unit_of_its_rule(
    value: float, metric: str, unit: str, text: str
) -> None:
    assert in_unit(value, metric, unit) == text


@pytest.mark.parametrize(
    ("value", "metric", "unit", "text"),
    [(1024, "size_bytes", "", "1 KiB"), (1000, "size", "B", "1 kB"),
     (1048576, "size", "B", "1 MiB"), (215_613_578.5, "size", "B", "215,613,578.5 B"),
     (1023, "size", "B", "1,023 B"), (0, "size", "B", "0 B"), (73150, "rows", "", "73,150"),
     (0.05, "ratio", "%", "5%"), (2700, "duration", "", "45m"), (math.inf, "n", "", "+Inf")],
)  # fmt: skip
def test_a_limit_is_told_to_every_digit(
    value: float, metric: str, unit: str, text: str
) -> None:
    assert exactly(value, metric, unit) == text


@pytest.mark.parametrize(
    ("largest", "metric", "top"),
    [(0, "rows", 1), (1, "rows", 1), (146_300, "rows", 150_000), (0.027, "ratio", 0.03),
     (3600, "duration", 3600), (2941, "duration", 3600), (0.3, "duration", 0.3),
     (58_812_600, "size_bytes", 64 * 2**20), (math.inf, "rows", 1)],
)  # fmt: skip
def test_the_end_of_an_axis_is_round(largest: float, metric: str, top: float) -> None:
    assert top_of(largest, metric) == pytest.approx(top)


@given(st.floats(5e-324, 1.7e308), st.sampled_from(["rows", "size_bytes", "duration"]))
def test_the_end_of_an_axis_is_not_below_what_is_drawn(
    value: float, metric: str
) -> None:
    assert value <= top_of(value, metric) < math.inf
