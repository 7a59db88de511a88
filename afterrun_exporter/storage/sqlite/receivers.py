"""Rows of the table `receivers`: notification targets of one job."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

import aiosqlite

from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.storage.codec import UnreadableRowError

_ADD: Final = """
INSERT INTO receivers
(job, type, target, on_failure, on_timeout, on_violation, on_missed, on_success,
 created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def add(
    connection: sqlite3.Connection, added: Sequence[JobReceiver]
) -> list[JobReceiver]:
    """Store the receivers *added*; return them with their ids."""
    return [
        replace(one, id=connection.execute(_ADD, _row(one)).lastrowid or 0)
        for one in added
    ]


def remove(connection: sqlite3.Connection, numbers: Collection[int]) -> None:
    """Delete the receivers with these ids; missing ones are ignored."""
    rows = [(number,) for number in numbers]
    connection.executemany("DELETE FROM receivers WHERE id = ?", rows)


def _row(receiver: JobReceiver) -> tuple[Any, ...]:
    return (
        receiver.job,
        receiver.type,
        receiver.target,
        receiver.on_failure,
        receiver.on_timeout,
        receiver.on_violation,
        receiver.on_missed,
        receiver.on_success,
        receiver.created_at,
    )


async def receivers(reader: aiosqlite.Connection) -> list[JobReceiver]:
    """Return all receivers, in the order of their creation."""
    rows = await reader.execute_fetchall("SELECT * FROM receivers ORDER BY id")
    return [_receiver(row) for row in rows]


def _receiver(row: sqlite3.Row) -> JobReceiver:
    try:
        type_ = ReceiverType(row["type"])
    except ValueError as error:
        raise UnreadableRowError("receiver", row["job"], error) from error
    return JobReceiver(
        id=row["id"],
        job=row["job"],
        type=type_,
        target=row["target"],
        on_failure=bool(row["on_failure"]),
        on_timeout=bool(row["on_timeout"]),
        on_violation=bool(row["on_violation"]),
        on_missed=bool(row["on_missed"]),
        on_success=bool(row["on_success"]),
        created_at=row["created_at"],
    )
