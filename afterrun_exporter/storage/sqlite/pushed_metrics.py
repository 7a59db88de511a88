"""Rows of the table `pushed`: pushed metrics to expose under their own names."""

from __future__ import annotations

import sqlite3
from typing import Final

import aiosqlite

from afterrun_exporter.core.pushed_metrics import Group, Labels
from afterrun_exporter.storage.rows import (
    encode_families,
    encode_labels,
    group_of,
)

_SAVE: Final = """
INSERT INTO pushed (labels, job, families) VALUES (?, ?, ?)
ON CONFLICT (labels) DO UPDATE SET job = excluded.job, families = excluded.families
"""


def save(connection: sqlite3.Connection, group: Group) -> None:
    """Store *group*, in place of its previous content."""
    row = (encode_labels(group.labels), group.job, encode_families(group))
    connection.execute(_SAVE, row)


def drop(connection: sqlite3.Connection, labels: Labels) -> None:
    """Delete the group with these labels, if there is one."""
    connection.execute("DELETE FROM pushed WHERE labels = ?", (encode_labels(labels),))


async def groups(reader: aiosqlite.Connection) -> list[Group]:
    """Return all groups, in the order of their first push."""
    rows = await reader.execute_fetchall("SELECT * FROM pushed ORDER BY id")
    return [group_of(row) for row in rows]
