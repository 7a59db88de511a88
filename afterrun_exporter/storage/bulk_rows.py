"""Many rows in few statements: each step of one lets go of the interpreter's lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

#: Rows in one statement at most: SQLite takes 32,766 values.
MOST: Final = 256


def insert(
    connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], then: str
) -> None:
    """Execute ``INSERT INTO into VALUES rows then``, in steps of powers of two.

    So there are few different statements, and all of them stay prepared.
    """
    for step in _steps(rows):
        sql = _statement(into, len(step), len(step[0]), then)
        connection.execute(sql, tuple(chain.from_iterable(step)))


def _steps(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    at = 0
    while left := len(rows) - at:
        size = min(MOST, 1 << (left.bit_length() - 1))
        yield rows[at : at + size]
        at += size


@lru_cache(maxsize=256)
def _statement(into: str, rows: int, columns: int, then: str) -> str:
    row = f"({','.join('?' * columns)})"
    # Only marks and words of our own are in the text.
    return f"INSERT INTO {into} VALUES {','.join([row] * rows)} {then}"  # noqa: S608
