"""Handling of failed reads: they become storage errors, counted and logged once."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

import structlog

from afterrun_exporter.clock import stopwatch
from afterrun_exporter.errors import StorageError, UnreadableStorageError
from afterrun_exporter.storage.codec import UNDECODABLE

#: Errors of the caller, not of the database.
CALLERS: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
)
#: Errors of the database.
FAULTS: Final = (sqlite3.DatabaseError, MemoryError)

#: Seconds without a failure after which reads count as working again: with one broken
#: page, reads of other jobs still succeed.
QUIET: Final = 60.0

T = TypeVar("T")

log = structlog.get_logger()


class ReadGuard:
    """Awaits reads of the database at *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: The number of failed reads.
        self.failures = 0
        self._failing_since: float | None = None
        self._failed_at = 0.0

    async def __call__(self, read: Awaitable[T]) -> T:
        """Return the result of *read*; raise StorageError if the database cannot be read."""
        try:
            result = await read
        except CALLERS:
            raise
        except (*FAULTS, *UNDECODABLE) as error:
            raise self._failed(error) from error
        self._succeeded()
        return result

    def _failed(self, error: Exception) -> StorageError:
        self.failures += 1
        self._failed_at = stopwatch()
        failure = UnreadableStorageError(
            f"cannot read from {self._path}: {reason(error)}"
        )
        if self._failing_since is None:
            self._failing_since = self._failed_at
            log.error("storage_unreadable", error=str(failure))
        return failure

    def _succeeded(self) -> None:
        since = self._failing_since
        if since is not None and stopwatch() - self._failed_at >= QUIET:
            seconds = round(self._failed_at - since, 3)
            log.info("storage_readable", failed_for=seconds, failures=self.failures)
            self._failing_since = None


def reason(error: Exception) -> str:
    """Return the reason of a database failure, in one line."""
    if isinstance(error, MemoryError):
        return "out of memory"
    return " ".join(str(error).split()) or type(error).__name__
