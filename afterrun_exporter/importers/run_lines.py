"""Files of past runs: lines of JSON, or CSV with a header."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.validation_messages import quote

#: The most bytes of a line, as of a request with the default `limits.body_bytes`.
LONGEST_LINE: Final = 2**20

#: Columns of CSV that are fields of a report, and True for numbers.
_COLUMNS: Final = {
    "job": False,
    "run_id": False,
    "status": False,
    "started_at": True,
    "ended_at": True,
    "duration_seconds": True,
    "duration_ms": True,
    "exit_code": True,
    "message": False,
    "attempt": True,
    "max_attempts": True,
}
#: Prefixes of columns whose values are in a mapping, and True for numbers.
_MAPPINGS: Final = {"metrics": True, "metadata": False}
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)

_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_BOM: Final = b"\xef\xbb\xbf"


class NotRunsError(ValueError):
    """The file as a whole cannot be read; the message says what to change."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """A line with a run, or with a problem."""

    #: Counted from 1.
    number: int
    #: A JSON object.
    text: bytes
    problem: str = ""


def read_lines(stream: BinaryIO, *, is_csv: bool = False) -> Iterator[RunLine]:
    """Yield the lines of *stream* that are not blank; raise NotRunsError."""
    return _csv_rows(stream) if is_csv else _json_lines(stream)


def _json_lines(stream: BinaryIO) -> Iterator[RunLine]:
    for number, line, is_long in _lines(stream):
        text = line.strip()
        if is_long:
            problem = (
                f"longer than {LONGEST_LINE:,} bytes: shorten its message or metadata"
            )
            yield RunLine(number, b"", problem)
        elif problem := _encoding_problem(line):
            yield RunLine(number, b"", problem)
        elif text.startswith(b"["):
            problem = "a list: write one object a line, for example with jq -c '.[]'"
            yield RunLine(number, b"", problem)
        elif text:
            yield RunLine(number, text)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Yield the number and the text of each line; True if it is too long and cut."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        is_long = len(line) > LONGEST_LINE and not line.endswith(b"\n")
        rest = line
        while is_long and rest and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_LINE)
        if number == 1:
            if line.startswith(_UTF_16) or b"\0" in line[:4]:
                raise NotRunsError(
                    "the file is UTF-16: convert it with iconv -f UTF-16 -t UTF-8"
                )
            line = line.removeprefix(_BOM)
        yield number, line, is_long


def _encoding_problem(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return (
            f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8: "
            "convert the file, for example with iconv -f LATIN1 -t UTF-8"
        )
    return ""


def _csv_rows(stream: BinaryIO) -> Iterator[RunLine]:
    texts = (line.decode(errors="surrogateescape") for _, line, _ in _lines(stream))
    rows = csv.reader(texts, strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
    except csv.Error as error:
        raise NotRunsError(f"the header of the CSV cannot be read: {error}") from None
    _check_header(header)
    while True:
        number = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield RunLine(number, b"", f"cannot be read as CSV: {error}")
            continue
        if not any(cells):
            continue
        if problem := _encoding_problem(
            ",".join(cells).encode(errors="surrogateescape")
        ):
            yield RunLine(number, b"", problem)
        elif len(cells) != len(header):
            problem = (
                f"has {plural(len(cells), 'value')}, but the header has {len(header)}"
            )
            yield RunLine(number, b"", problem)
        else:
            fields = _fields(header, cells)
            yield RunLine(number, json.dumps(fields, ensure_ascii=False).encode())


def _check_header(header: Sequence[str]) -> None:
    """Raise NotRunsError with all invalid columns."""
    problems = []
    for column in header:
        prefix, _, name = column.partition(".")
        if column in _COLUMNS or (prefix in _MAPPINGS and name):
            continue
        hint = did_you_mean(column, _COLUMNS) or (
            f": write metrics.{column or 'NAME'} for a number, metadata.{column or 'NAME'} "
            "for a text"
        )
        problems.append(f"unknown column {quote(column)}{hint}")
    if repeated := {column for column in header if header.count(column) > 1}:
        problems.append(f"columns are repeated: {', '.join(sorted(repeated))}")
    if "job" not in header:
        problems.append("a column job is missing")
    if problems:
        raise NotRunsError("; ".join(problems))


def _fields(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a report, without those of empty cells."""
    fields: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=True):
        if not (text := cell.strip()):
            continue
        prefix, _, name = column.partition(".")
        if column in _COLUMNS:
            fields[column] = _value(text) if _COLUMNS[column] else cell
        else:
            value = _value(text) if _MAPPINGS[prefix] else cell
            fields.setdefault(prefix, {})[name] = value
    return fields


def _value(text: str) -> str | int | float:
    """Return *text* as a number if it is one."""
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
