"""Rows of the table `receivers`: notification targets of one job."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import aiosqlite

from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.storage.codec import UnreadableRowError

_ADD: Final = """
INSERT INTO receivers
(job, type, target, on_failure, on_timeout, on_violation, on_missed, on_success,
 created_at)
VALUES (:job, :type, :target, :on_failure, :on_timeout, :on_violation, :on_missed,
 :on_success, :created_at)
"""


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
    return [_receiver(row) for row in rows]


def _receiver(row: sqlite3.Row) -> JobReceiver:
    try:
        type_ = ReceiverType(row["type"])
    except ValueError as error:
        raise UnreadableRowError("receiver", row["job"], error) from error
    fields: dict[str, Any] = {
        name: bool(row[name]) if name.startswith("on_") else row[name]
        for name in row.keys()  # noqa: SIM118 - iterating over a row yields values
    }
    return JobReceiver(**{**fields, "type": type_})
