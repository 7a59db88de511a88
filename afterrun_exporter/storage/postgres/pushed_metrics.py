"""Rows of the table `pushed`: pushed metrics to expose under their own names."""

from __future__ import annotations

from typing import Final

import asyncpg

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.pushed_metrics import Group, Labels
from afterrun_exporter.storage.rows import encode_families, encode_labels, group_of

_REVISION: Final = "SELECT number FROM revisions WHERE topic = 'pushed'"
# Each change is one statement, together with the number by which others notice it. A
# group is consistent with all others, so it is saved only if none has changed.
_SAVE: Final = """
WITH mine AS (
    UPDATE revisions SET number = number + 1 WHERE topic = 'pushed' AND number = $4
    RETURNING number
), saved AS (
    INSERT INTO pushed (labels, job, families)
    SELECT $1, $2, $3 WHERE EXISTS (SELECT FROM mine)
    ON CONFLICT (digest) DO UPDATE
    SET job = excluded.job, families = excluded.families
)
SELECT number FROM mine
"""
# By the labels, as in the column `digest`.
_DROP: Final = r"""
WITH gone AS (
    DELETE FROM pushed
    WHERE digest = sha256(decode(replace($1, '\', '\\'), 'escape')) RETURNING id
)
UPDATE revisions SET number = number + 1
WHERE topic = 'pushed' AND EXISTS (SELECT FROM gone) RETURNING number
"""


class PushedGroups:
    """The stored groups, as one replica has read them."""

    def __init__(self) -> None:
        #: The number of changes that are known; None if there may be others.
        self._revision: int | None = None

    async def read(self, connection: asyncpg.Connection) -> list[Group]:
        """Return all groups, in the order of their first push."""
        # Before the groups: later changes may be among them, and are read again then.
        self._revision = await connection.fetchval(_REVISION)
        rows = await connection.fetch("SELECT * FROM pushed ORDER BY id")
        return [group_of(row) async for row in cooperatively(rows)]

    async def save(self, connection: asyncpg.Connection, group: Group) -> bool:
        """Store *group* in place of the one with the same labels.

        Returns False if another replica has changed a group since they were read.
        """
        row = encode_labels(group.labels), group.job, encode_families(group)
        # The outcome is unknown if the connection is lost.
        revision, self._revision = self._revision, None
        self._revision = await connection.fetchval(_SAVE, *row, revision)
        return self._revision is not None

    async def drop(self, connection: asyncpg.Connection, labels: Labels) -> None:
        """Delete the group with these labels, if there is one."""
        before, self._revision = self._revision, None
        after = await connection.fetchval(_DROP, encode_labels(labels))
        if before is not None and after in {None, before + 1}:
            self._revision = after or before
