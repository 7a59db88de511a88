"""Copying SQLite's log back into the database, beside the writer.

SQLite by itself copies it inside the commit that fills it, some 32 MiB and an fsync of
them, and whoever waits for that commit waits for all of it: 0.1 s among 100,000 jobs.

When the log may begin anew, and that the database is synced before, stays SQLite's to
decide: whatever goes wrong here costs time, and no report.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

#: Rows that change before the log is copied back. A ping changes two, and they fill
#: about one page: this is 32 MiB. The longer the log, the more writes of one page are
#: copied as one.
ROWS: Final = 16_384

#: New pages that are few enough for the writer to copy itself.
FEW: Final = 256

#: A writer that is never caught up with gets more to copy than that.
ATTEMPTS: Final = 4

CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Copies the log of *path* back whenever `ROWS` more have changed.

    *last* copies what is left while nothing is written, so that the log can begin
    anew. To be closed after all other connections to *path*.
    """

    def __init__(self, path: Path, last: Callable[[], Awaitable[object]]) -> None:
        self._path = path
        self._last = last
        self._copied_at = 0
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._opened: tuple[sqlite3.Connection, int] | None = None

    def changed(self, rows: int) -> None:
        """Take note that *rows* have been changed so far; never waits."""
        idle = self._task is None and not self._stopped
        if idle and rows - self._copied_at >= ROWS:
            self._copied_at = rows
            self._task = asyncio.create_task(self._copy_back(), name="checkpoint")

    async def done(self) -> None:
        """Return once nothing is being copied."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        """Begin no other copy, and return once nothing is being copied."""
        self._stopped = True
        await self.done()

    def close(self) -> None:
        if self._opened is not None:
            connection, file = self._opened
            connection.close()
            os.close(file)

    async def _copy_back(self) -> None:
        try:
            await asyncio.to_thread(self._catch_up)
            await self._last()
        except (OSError, sqlite3.Error) as error:
            log.warning("checkpoint_failed", path=str(self._path), error=str(error))
        finally:
            self._task = None

    def _catch_up(self) -> None:
        """Copy until little is left; the writer goes on meanwhile."""
        if self._opened is None:
            self._opened = _open(self._path)
        connection, file = self._opened
        before = 0
        for _ in range(ATTEMPTS):
            _, _, copied = connection.execute(CHECKPOINT).fetchone()
            # SQLite syncs only a log that is copied to its end. Then there would be
            # everything to sync, and the writer waiting for it.
            os.fdatasync(file)
            if copied - before <= FEW:
                break
            before = copied


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    # Kept open: closing any descriptor of the file drops the locks that SQLite has on
    # it, and the next to look into the database would delete the log under the writer.
    file = os.open(path, os.O_RDONLY)
    return sqlite3.connect(path, check_same_thread=False), file
