"""Files of past runs are read line by line, and a bad line costs no other."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.importers.run_lines import (
    LONGEST_LINE,
    NotRunsError,
    RunLine,
    read_lines,
)


def lines(text: bytes, *, is_csv: bool = False) -> list[RunLine]:
    return list(read_lines(io.BytesIO(text), is_csv=is_csv))


def fields(text: str) -> list[Any]:
    return [json.loads(line.text) for line in lines(text.encode(), is_csv=True)]


def problem(text: bytes, *, is_csv: bool = False) -> tuple[int, str]:
    (line,) = (line for line in lines(text, is_csv=is_csv) if line.problem)
    return line.number, line.problem


def test_blank_lines_are_skipped_and_counted() -> None:
    """Also a byte order mark, and line ends of Windows."""
    text = b'\xef\xbb\xbf{"job": "a"}\r\n\r\n  \n {"job": "b"}'

    assert lines(text) == [RunLine(1, b'{"job": "a"}'), RunLine(4, b'{"job": "b"}')]
    assert lines(b"") == []


@pytest.mark.parametrize(
    ("text", "number", "words"),
    [
        (b'{}\n{"a": "\xe9"}\n{}', 2, "byte 0xe9 at column 8 is not UTF-8: convert"),
        (b"{}\n[{}]\n", 2, "a list: write one object a line"),
        (b"{}\n" + b"x" * (2 * LONGEST_LINE + 5) + b"\n{}", 2, "longer than 1,048,576"),
    ],
)
def test_a_line_that_cannot_be_read_has_a_problem(
    text: bytes, number: int, words: str
) -> None:
    found = problem(text)

    assert found[0] == number
    assert found[1].startswith(words)
    assert lines(text)[-1].problem == "" or len(lines(text)) == number


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_named(encoding: str) -> None:
    with pytest.raises(NotRunsError, match="iconv -f UTF-16"):
        lines('{"job": "a"}\n'.encode(encoding))


def test_columns_of_csv_are_fields() -> None:
    """Numbers are numbers, empty cells nothing, and texts stay texts."""
    text = (
        "job,ended_at,duration_seconds,exit_code,run_id,message,metrics.rows,metadata.host\n"
        'a,2026-11-01T02:00:00Z,12.5,0,17,"two\nlines, quoted ""so""",5,7\n'
        "\n"
        "b,1790000000,,,,,n/a,\n"
    )

    assert fields(text) == [
        {
            "job": "a",
            "ended_at": "2026-11-01T02:00:00Z",
            "duration_seconds": 12.5,
            "exit_code": 0,
            "run_id": "17",
            "message": 'two\nlines, quoted "so"',
            "metrics": {"rows": 5},
            "metadata": {"host": "7"},
        },
        {"job": "b", "ended_at": 1790000000, "metrics": {"rows": "n/a"}},
    ]


def test_a_row_has_the_line_on_which_it_begins() -> None:
    text = b'job,message\na,"1\n2"\nb,\xe9\n'

    assert problem(text, is_csv=True)[0] == 4


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b"a,b,c", "has 3 values, but the header has 2"),
        (b"a", "has 1 value, but the header has 2"),
        (b'a,"b', "cannot be read as CSV: unexpected end of data"),
        (b'a,"b"c', "cannot be read as CSV"),
        (b"a,\xff", "byte 0xff"),
    ],
)
def test_a_row_that_cannot_be_read_has_a_problem(row: bytes, words: str) -> None:
    number, text = problem(b"job,message\n" + row, is_csv=True)

    assert number == 2
    assert text.startswith(words)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("job,duration_second", "unknown column 'duration_second'; did you mean"),
        (
            "job,rows",
            "unknown column 'rows': write metrics.rows for a number, metadata.r",
        ),
        ("job,job", "columns are repeated: job"),
        ("message,", "unknown column ''"),
        ("message", "a column job is missing"),
        ("", "a column job is missing"),
    ],
)
def test_a_wrong_header_is_an_error(header: str, words: str) -> None:
    with pytest.raises(NotRunsError) as caught:
        fields(f"{header}\na,1\n")

    assert words in str(caught.value)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(text: bytes, is_csv: bool) -> None:
    """In order, and each line as UTF-8 without a line end."""
    try:
        found = lines(text, is_csv=is_csv)
    except NotRunsError:
        return

    assert [line.number for line in found] == sorted(line.number for line in found)
    for line in found:
        line.text.decode()
        assert bool(line.text) != bool(line.problem)
        assert b"\n" not in line.text
