"""The short way and the long way come to the same ping."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Ping
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import fast_parser, reports
from afterrun_exporter.ingest.json_text import read_json
from afterrun_exporter.ingest.vocabulary import STATUSES
from tests.copies import replace

AT = 1_800_000_000.0
MARK = b"12345678"
LIMIT = 3

NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([-0.0, 1e308, 2**63, -(2**63), 1e11])
)
TEXTS = st.text(max_size=10) | st.sampled_from(["\ud800", "x" * 300, "x" * 10_001])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from([*STATUSES, "OK", " ok", "done"]) | ANYTHING,
    "duration_ms": NUMBERS | ANYTHING,
    "duration_seconds": NUMBERS | ANYTHING,
    "metrics": st.dictionaries(
        TEXTS | st.sampled_from(["duration", "exit_code", "success", "errors"]),
        NUMBERS | ANYTHING,
        max_size=5,
    )
    | ANYTHING,
    "run_id": TEXTS | ANYTHING,
    "attempt": st.integers(-1, 3) | ANYTHING,
    "max_attempts": st.integers(-1, 3) | ANYTHING,
    "message": TEXTS | ANYTHING,
    "exit_code": st.integers(-2, 300) | ANYTHING,
    "metadata": st.dictionaries(TEXTS, ANYTHING, max_size=2) | ANYTHING,
    "heartbeat_seconds": NUMBERS | ANYTHING,
    "started_at": NUMBERS | ANYTHING,
    "staus": ANYTHING,
}


def long_way(body: bytes) -> Ping | None:
    """Return what the long way makes of *body*; None where it refuses it."""
    try:
        ping, _ = reports.ping_of(
            "job", read_json(body), at=AT, fingerprint=MARK, metrics_limit=LIMIT
        )
    except PingError:
        return None
    return ping


def bodies() -> st.SearchStrategy[bytes]:
    """Return reports, good and bad, as bytes."""
    reported = st.fixed_dictionaries({}, optional=FIELDS)
    return reported.map(lambda fields: json.dumps(fields).encode())


@given(
    bodies() | st.binary(max_size=30) | ANYTHING.map(lambda v: json.dumps(v).encode())
)
@example(b'{"status": "ok", "status": "fail"}')
@example(b'{"metrics": {"rows": 1, "rows": 2}}')
@example(b'{"metrics": {"rows": 1e400}}')
@example(b'{"metrics": {"rows": NaN}}')
@example(b'{"metrics": {"rows": 123456789012345678901234567890}}')
@example(b'{"duration_ms": 1e11}')
@example(b'{"heartbeat_seconds": 0}')
@example(b'{"heartbeat_seconds": 1e11}')
@example(b'{"metadata": {"a": 1e400}}')
@example(b'\xef\xbb\xbf{"status": "ok"}')
@example(b'{"message": "\\ud83d\\ude00"}')
def test_where_the_short_way_answers_the_long_way_says_the_same(body: bytes) -> None:
    """Nobody can tell which of the two was taken."""
    short = fast_parser.read("job", body, AT, MARK, LIMIT)

    assert short is None or short == long_way(body)


@given(st.fixed_dictionaries({"job": TEXTS | st.just("backup")}, optional=FIELDS))
def test_one_of_many_is_read_the_same(item: dict[str, Any]) -> None:
    """Only those go the short way that name their run: they need no fingerprint."""
    short = fast_parser.read_item(json.dumps(item).encode(), AT, LIMIT)
    if short is None:
        return

    job = item.pop("job")
    told = long_way(json.dumps(item).encode())
    assert told is not None
    assert short == replace(told, job=job, fingerprint=b"")


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (b'[{"job": "a"}, {"job": "b"}]', [b'{"job": "a"}', b'{"job": "b"}']),
        (b' {"job": "a"}\n\n{"job": "b"}\n', [b'{"job": "a"}', b'{"job": "b"}']),
        (b'{"job": "a"}', [b'{"job": "a"}']),
        (b'{\n"job": "a"\n}', None),
        (b'[{"job": "a"}', None),
        (b'{"job": "a"} {"job": "b"', None),
    ],
)
def test_a_batch_is_parted_where_that_is_plain(
    body: bytes, items: list[bytes] | None
) -> None:
    assert fast_parser.texts(body) == items


PIECES = st.sampled_from(
    [
        b'{"job":"a"}',
        b'{"job":"b","metrics":{}}',
        b'{"job":\n"c"}',
        b'{"metrics":\n{}}',
        b'{"metrics":{"rows":1}\n,"job":"d"}',
        *(b"\n", b"\n", b"\r", b"\r\n", b" ", b",", b"[", b"]", b"{", b"}"),
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
@example(b'{"job":"a"}\n{"job":"b"}')
@example(b'[{"job":"a"},\n{"job":"b"}]')
@example(b'{"job":"a"}{"job":"b"}')
@example(b'{"metrics":\n{}}{"job":"a"}')
def test_a_batch_is_read_at_once_only_where_it_is_parted_the_same(body: bytes) -> None:
    """A line that holds no report, or two, is bad, whatever else could be made of it."""
    items = fast_parser.items(body)
    if items is None:
        return

    found = fast_parser.texts(body) or []
    assert [json.loads(text).get("job", "") for text in found] == [i.job for i in items]


def test_most_batches_are_read_at_once() -> None:
    lines = b'{"job": "a", "run_id": "1"}\n{"job": "b", "run_id": "2"}\n'

    for body in (lines, b"[" + lines.strip().replace(b"\n", b",\n") + b"]"):
        assert [item.job for item in fast_parser.items(body) or ()] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"status": "ok", "duration_ms": 5000, "run_id": "a"}',
        b'{"metrics": {"rows": 1, "size": 2.5}, "metadata": {"git_sha": "abc"}}',
        b'{"status": "start", "run_id": "a", "attempt": 2, "max_attempts": 3}',
        b'{"status": "fail", "exit_code": 3, "message": "no space left"}',
    ],
)
def test_what_most_jobs_send_goes_the_short_way(body: bytes) -> None:
    assert fast_parser.read("job", body, AT, MARK, LIMIT) == long_way(body) is not None
