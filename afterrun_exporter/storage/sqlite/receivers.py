"""Rows of the table `receivers`: notification targets of one job."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Final

import aiosqlite

from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.storage.rows import RECEIVER, receiver_of

# The text has only constants and placeholders.
_ADD: Final = (
    f"INSERT INTO receivers ({', '.join(RECEIVER)}) "  # noqa: S608
    f"VALUES ({', '.join(f':{name}' for name in RECEIVER)})"
)


def add(
    connection: sqlite3.Connection, added: Sequence[JobReceiver]
) -> list[JobReceiver]:
    """Store the receivers *added*; return them with their ids."""
    return [
        replace(one, id=connection.execute(_ADD, asdict(one)).lastrowid or 0)
        for one in added
    ]


def remove(connection: sqlite3.Connection, numbers: Collection[int]) -> None:
    """Delete the receivers with these ids; missing ones are ignored."""
    rows = [(number,) for number in numbers]
    connection.executemany("DELETE FROM receivers WHERE id = ?", rows)


async def receivers(reader: aiosqlite.Connection) -> list[JobReceiver]:
    """Return all receivers, in the order of their creation."""
    rows = await reader.execute_fetchall("SELECT * FROM receivers ORDER BY id")
    return [receiver_of(row) for row in rows]
