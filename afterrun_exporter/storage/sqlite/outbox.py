"""Rows of the table `outbox`: alert notifications and their deliveries."""

from __future__ import annotations

import sqlite3
from typing import Final

from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.rows import (
    NOTICE,
    Outboxed,
    encode_deliveries,
    notice_row,
    outbox_of,
)

# The texts have only constants and placeholders.
_SAVE: Final = f"""
INSERT INTO outbox ({", ".join(NOTICE)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (labels) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in NOTICE[1:])}
"""  # noqa: S608
_SELECT: Final = f"SELECT {', '.join(NOTICE)}, told FROM outbox"  # noqa: S608


def save(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write *changes*, inside a transaction of the caller."""
    connection.executemany(_SAVE, [notice_row(notice) for notice in changes.notices])
    connection.executemany(
        "UPDATE outbox SET told = ? WHERE labels = ?",
        [
            (encode_deliveries(states), labels)
            for labels, states in changes.deliveries.items()
        ],
    )
    connection.executemany(
        "DELETE FROM outbox WHERE labels = ? AND opened_at = ? AND resolved_at IS ?",
        [(one.labels, one.opened_at, one.resolved_at) for one in changes.removed],
    )


def load(connection: sqlite3.Connection) -> Outboxed:
    """Return the stored notifications, and the deliveries of each."""
    return outbox_of(connection.execute(_SELECT))
