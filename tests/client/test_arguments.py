"""What people write, and what is made of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.client.arguments import Metrics, duration, pairs
from afterrun_exporter.client.capture import MAX_LINE, MetricLines, Tail
from afterrun_exporter.client.reports import cut


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1d", 86400)),
        *(("500ms", 0.5), ("1.5h", 5400), ("0s", 0)),
    ],
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "1 h", "-5s", "1x", "s", "5s ", "1h30", "٣s."]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like 90s"):
        duration(text)


@pytest.mark.parametrize(
    ("line", "values", "problems"),
    [
        ("afterrun: rows=42", {"rows": 42}, 0),
        (
            "afterrun:rows=42 bytes=1.5e3,files=-7",
            *({"rows": 42, "bytes": 1500, "files": -7}, 0),
        ),
        ("afterrun: rows=many left=1", {"left": 1}, 1),
        ("afterrun: rows", {}, 1),
        ("afterrun: =5", {}, 1),
        ("afterrun: rows=nan", {}, 1),
        ("afterrun: rows=inf", {}, 1),
        ("afterrun: rows=1 rows=2", {"rows": 2}, 0),
        ("afterrun:", {}, 0),
    ],
)
def test_a_line_of_output_has_metrics(
    line: str, values: dict[str, float], problems: int
) -> None:
    metrics = Metrics()

    metrics.add_line(line)

    assert (metrics.values, len(metrics.problems)) == (values, problems)


@pytest.mark.parametrize(
    ("text", "values", "problems"),
    [
        ('{"rows": 42, "cost": 0.5}', {"rows": 42, "cost": 0.5}, []),
        (
            "rows=42\ncost = 0.5\n\n# no metric\nfiles 7\n",
            {"rows": 42, "cost": 0.5, "files": 7},
            [],
        ),
        (
            '{"rows": "42", "ok": true, "all": [1]}',
            {"rows": 42},
            ["metric ok='True' is not a number", "metric all='[1]' is not a number"],
        ),
        (
            "rows=1\nnonsense",
            {"rows": 1},
            ["m.txt:2: 'nonsense' is not a metric; write it like rows_processed=42"],
        ),
        ("", {}, []),
    ],
)
def test_a_file_has_metrics(
    text: str, values: dict[str, float], problems: list[str]
) -> None:
    metrics = Metrics()

    metrics.add_file(text, "m.txt")

    assert (metrics.values, metrics.problems) == (values, problems)


@given(st.text() | st.builds("{{{}".format, st.text()))
def test_no_file_is_too_odd(text: str) -> None:
    """What is no metric is a problem to tell, and never an error."""
    metrics = Metrics()

    metrics.add_file(text, "m.txt")
    metrics.add_line(text)

    assert all(math.isfinite(value) for value in metrics.values.values())
    assert len(metrics.problems) <= 10


def test_only_so_many_metrics_are_taken() -> None:
    metrics = Metrics()

    metrics.add_file("\n".join(f"m{n}=1" for n in range(600)), "m.txt")

    assert len(metrics.values) == 500


def test_pairs_may_have_any_value() -> None:
    found, problems = pairs(["a=b=c", "empty=", "nothing"])

    assert found == {"a": "b=c", "empty": ""}
    assert problems == ["'nothing' is not a pair; write it like name=value"]


@given(st.lists(st.integers(1, 40), max_size=20))
def test_lines_are_found_however_the_output_is_cut(cuts: list[int]) -> None:
    """Pipes do not care for lines."""
    text = (
        b"begin\nafterrun: a=1\nnot afterrun: b=2\n" + b"x" * 9000 + b"\nafterrun: c=3"
    )
    metrics = Metrics()
    lines = MetricLines(metrics)

    at = 0
    for length in cuts:
        lines.add(text[at : at + length])
        at += length
    lines.add(text[at:])
    lines.close()

    assert metrics.values == {"a": 1, "c": 3}


def test_a_line_without_end_is_no_line_of_metrics() -> None:
    """And takes no memory."""
    metrics = Metrics()
    lines = MetricLines(metrics)

    lines.add(b"afterrun: a=1 ")
    for _ in range(100):
        lines.add(b"x" * MAX_LINE)
    lines.add(b"\nafterrun: b=2\n")

    assert metrics.values == {"b": 2}
    assert len(lines._incomplete) <= MAX_LINE + 1


def test_the_tail_is_what_came_last() -> None:
    tail = Tail(2)
    for number in range(5000):
        tail.add(b"line %d\n" % number)

    assert tail.text() == "line 4998\nline 4999"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 50))
def test_a_cut_message_is_its_end(text: str, limit: int) -> None:
    kept = cut(text, limit)

    assert text.endswith(kept)
    assert len(kept.encode()) <= limit
