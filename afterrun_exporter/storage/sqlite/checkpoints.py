"""Checkpoints: copying SQLite's log back into the database, beside the writer.

SQLite by itself copies the log inside the commit that fills it, some 32 MiB with an
fsync, and all reports in that commit wait for it: 0.1 s with 100,000 jobs.

SQLite still decides when the log may restart, and syncs the database before: an error
here costs time, and no report.
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

#: Changed rows before the log is copied back. A ping changes two, which fill about one
#: page: this is 32 MiB. With a longer log, more writes of one page are copied as one.
ROWS: Final = 16_384

#: The number of new pages that the writer can copy itself.
FEW: Final = 256

#: The limit of passes; the rest is left to the writer.
ATTEMPTS: Final = 4

CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Copies the log of *path* back after every `ROWS` changed rows.

    *last* copies the rest while nothing is written, so that the log can restart. Close
    this after all other connections to *path*.
    """

    def __init__(self, path: Path, last: Callable[[], Awaitable[object]]) -> None:
        self._path = path
        self._last = last
        self._copied_at = 0
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._connection: tuple[sqlite3.Connection, int] | None = None

    def changed(self, rows: int) -> None:
        """Start a copy if the total of changed *rows* requires one; never waits."""
        idle = self._task is None and not self._stopped
        if idle and rows - self._copied_at >= ROWS:
            self._copied_at = rows
            self._task = asyncio.create_task(self._copy_back(), name="checkpoint")

    async def wait(self) -> None:
        """Wait until no copy is running."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        """Start no further copy, and wait until no copy is running."""
        self._stopped = True
        await self.wait()

    def close(self) -> None:
        if self._connection is not None:
            connection, file = self._connection
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
        """Copy until few pages remain; the writer goes on meanwhile."""
        if self._connection is None:
            self._connection = _open(self._path)
        connection, file = self._connection
        before = 0
        for _ in range(ATTEMPTS):
            _, _, copied = connection.execute(CHECKPOINT).fetchone()
            # SQLite syncs only a log that is copied to its end. Then all would be
            # left to sync, while the writer waits.
            os.fdatasync(file)
            if copied - before <= FEW:
                break
            before = copied


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    # Kept open: closing any descriptor of the file drops the locks that SQLite has on
    # it, and the next process to open the database would delete the writer's log.
    file = os.open(path, os.O_RDONLY)
    return sqlite3.connect(path, check_same_thread=False), file
