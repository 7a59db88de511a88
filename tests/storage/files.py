"""Looking into a database, as somebody else would."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what somebody who looks into the file sees."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


def size_of(path: Path) -> int:
    """Return the bytes of the file at *path*."""
    return path.stat().st_size
