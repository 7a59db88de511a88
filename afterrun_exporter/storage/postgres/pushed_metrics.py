"""Rows of the table `pushed`: pushed metrics to expose under their own names."""

from __future__ import annotations

from typing import Final

import asyncpg

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.pushed_metrics import Group, Labels
from afterrun_exporter.storage.rows import encode_families, encode_labels, group_of

# Each change is one statement, together with the number by which others notice it.
_CHANGED: Final = """
UPDATE revisions SET number = number + 1
WHERE topic = 'pushed' AND EXISTS (SELECT FROM saved)
RETURNING number
"""
# Of the labels, as the column `digest`.
_DIGEST: Final = r"sha256(decode(replace($1, '\', '\\'), 'escape'))"
# The texts have only constants.
_ADD: Final = f"""
WITH saved AS (
    INSERT INTO pushed (labels, job, families) VALUES ($1, $2, $3)
    ON CONFLICT (digest) DO NOTHING RETURNING id
) {_CHANGED}
"""  # noqa: S608
_REPLACE: Final = f"""
WITH saved AS (
    UPDATE pushed SET job = $2, families = $3
    WHERE digest = {_DIGEST} AND families = $4 RETURNING id
) {_CHANGED}
"""  # noqa: S608
_ONE: Final = f"SELECT * FROM pushed WHERE digest = {_DIGEST}"  # noqa: S608
_DROP: Final = f"""
WITH saved AS (
    DELETE FROM pushed WHERE digest = {_DIGEST} RETURNING id
) {_CHANGED}
"""  # noqa: S608


async def save(
    connection: asyncpg.Connection, group: Group, before: Group | None
) -> bool:
    """Store *group* in place of *before*; return False if another one is stored."""
    row = (encode_labels(group.labels), group.job, encode_families(group))
    if before is None:
        return await connection.fetchval(_ADD, *row) is not None
    row_before = await connection.fetchrow(_ONE, row[0])
    if row_before is None or group_of(row_before) != before:
        return False
    # It may have been encoded by another version.
    return await connection.fetchval(_REPLACE, *row, row_before["families"]) is not None


async def drop(connection: asyncpg.Connection, labels: Labels) -> None:
    """Delete the group with these labels, if there is one."""
    await connection.execute(_DROP, encode_labels(labels))


async def groups(connection: asyncpg.Connection) -> list[Group]:
    """Return all groups, in the order of their first push."""
    rows = await connection.fetch("SELECT * FROM pushed ORDER BY id")
    return [group_of(row) async for row in cooperatively(rows)]
