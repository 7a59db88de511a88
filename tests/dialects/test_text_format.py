"""The text format, read and made families of."""

from __future__ import annotations

import math

import pytest

from afterrun_exporter.errors import PingError
from tests.push_bodies import families_of, read_text

BODY = """\
# HELP latency How long \\\\ it\\ntook.
# TYPE latency histogram
latency_bucket{le="1"} 1
latency_bucket{le="+Inf"} 2
latency_sum 3.5
latency_count 2
# TYPE size summary
size{quantile="0.5"} 7
size_sum 7
size_count 1
# TYPE errors counter
errors 3
# TYPE done_total counter
done_total{instance="mine",table="a"} 1e9
untyped{job="mine"} NaN
"""


def lines(body: str, **group: str) -> list[str]:
    families = families_of(read_text(body.encode()), {"job": "etl", **group})
    return [
        f"{family.type} {one} {value}"
        for family in families.values()
        for one, value in family.series.items()
    ]


def test_everything_keeps_its_name_its_type_and_its_labels() -> None:
    """But for those that are the group's to say."""
    assert lines(BODY) == [
        'histogram latency_bucket{instance="",job="etl",le="1"} 1',
        'histogram latency_bucket{instance="",job="etl",le="+Inf"} 2',
        'histogram latency_sum{instance="",job="etl"} 3.5',
        'histogram latency_count{instance="",job="etl"} 2',
        'summary size{instance="",job="etl",quantile="0.5"} 7',
        'summary size_sum{instance="",job="etl"} 7',
        'summary size_count{instance="",job="etl"} 1',
        'counter errors{instance="",job="etl"} 3',
        'counter done_total{instance="mine",job="etl",table="a"} 1e+09',
        'untyped untyped{instance="",job="etl"} NaN',
    ]
    families = families_of(read_text(BODY.encode()), {"job": "etl"})
    assert families["latency"].help == "How long \\ it\ntook."


def test_labels_of_the_group_win() -> None:
    (line,) = lines('m{region="us",x="1"} 1\n', region="eu")

    assert line == 'untyped m{instance="",job="etl",region="eu",x="1"} 1'


def test_the_times_of_a_push_are_ours_to_say() -> None:
    assert lines("push_time_seconds 1\npush_failure_time_seconds 1\n") == []


def test_a_number_beyond_all_others_is_infinite() -> None:
    exposed = read_text(f"m {'9' * 400}\nn -{'9' * 400}\n".encode())

    assert [one.value for one in exposed.samples] == [math.inf, -math.inf]
    assert [one.rpartition(" ")[2] for one in lines("m +Inf\nn -Inf\n")] == [
        "+Inf",
        "-Inf",
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1.0", "1"),
        ("0", "0"),
        ("0.5", "0.5"),
        ("100000", "100000"),
        ("1000000", "1e+06"),
        ("1234567.5", "1.2345675e+06"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("-2.50", "-2.5"),
        ("1e300", "1e+300"),
        ("inf", "+Inf"),
    ],
)
def test_numbers_are_written_as_go_writes_them(written: str, read: str) -> None:
    """A bucket goes by its bound, as text."""
    body = f'# TYPE m histogram\nm_bucket{{le="{written}"}} {written}\n'

    assert lines(body) == [
        f'histogram m_bucket{{instance="",job="etl",le="{read}"}} {read}'
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("# TYPE m info\nm 1\n", "unknown metric type 'info'"),
        ("m 1\nm 2\n", "m{.*} occurs twice in the push"),
        ('m{x=""} 1\nm 2\n', "m{.*} occurs twice in the push"),
        (
            "afterrun_jobs 1\n",
            "afterrun_jobs has the reserved prefix afterrun_: rename it",
        ),
        ('{"m.n"} 1\n', "'m.n' is not a metric name"),
        ('m{__x="1"} 1\n', "Invalid labels: __x"),
        ('m{"a.b"="1"} 1\n', "invalid name: 'a.b'"),
        ('m{x="\0"} 1\n', "a NUL character in it: 'x'"),
        ("# TYPE m histogram\nm 1\n", "m is not a valid series of the histogram m"),
        (
            "# TYPE m histogram\nm_bucket 1\n",
            "m_bucket is not a valid series of the histogram",
        ),
        (
            '# TYPE m histogram\nm_sum{le="1"} 1\n',
            "m_sum is not a valid series of the histogram",
        ),
        ('# TYPE m histogram\nm_bucket{le="x"} 1\n', "le='x': use a number"),
        ('# TYPE m histogram\nm_bucket{le="1_0"} 1\n', "le='1_0'"),
        ("# TYPE m summary\nm 1\n", "m is not a valid series of the summary m"),
        ('# TYPE m summary\nm{quantile=""} 1\n', "quantile='': use a number"),
    ],
)
def test_what_cannot_stand_on_a_page_is_refused(body: str, message: str) -> None:
    with pytest.raises(PingError, match=message):
        lines(body)
