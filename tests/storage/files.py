"""Looking into a database, as somebody else would."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Let somebody else have the file open for a while."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what somebody who looks into the file sees."""
    with connected(path) as connection:
        return connection.execute(sql).fetchall()


def size_of(path: Path) -> int:
    """Return the bytes of the file at *path*."""
    return path.stat().st_size
