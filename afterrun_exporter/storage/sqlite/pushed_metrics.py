"""Rows of the table `pushed`: pushed metrics to expose under their own names."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

import aiosqlite

from afterrun_exporter.core.pushed_metrics import Family, Group, Labels
from afterrun_exporter.storage.codec import UnreadableRowError

_SAVE: Final = """
INSERT INTO pushed (labels, job, families) VALUES (?, ?, ?)
ON CONFLICT (labels) DO UPDATE SET job = excluded.job, families = excluded.families
"""


def save(connection: sqlite3.Connection, group: Group) -> None:
    """Store *group*, in place of its previous content."""
    families = {
        name: (family.type, family.help, family.series)
        for name, family in group.families.items()
    }
    row = (_encoded(group.labels), group.job, json.dumps(families))
    connection.execute(_SAVE, row)


def drop(connection: sqlite3.Connection, labels: Labels) -> None:
    """Delete the group with these labels, if there is one."""
    connection.execute("DELETE FROM pushed WHERE labels = ?", (_encoded(labels),))


async def groups(reader: aiosqlite.Connection) -> list[Group]:
    """Return all groups, in the order of their first push."""
    rows = await reader.execute_fetchall("SELECT * FROM pushed ORDER BY id")
    return [_group(row) for row in rows]


def _group(row: sqlite3.Row) -> Group:
    try:
        labels, families = json.loads(row["labels"]), json.loads(row["families"])
        return Group(
            labels=tuple(labels.items()),
            job=row["job"],
            families={name: Family(*family) for name, family in families.items()},
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableRowError("pushed metrics", row["job"], error) from error


def _encoded(labels: Labels) -> str:
    return json.dumps(dict(labels))
