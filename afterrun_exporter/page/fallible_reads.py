"""Reads from the store that may fail without failing the page."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import structlog

from afterrun_exporter.errors import StorageError

T = TypeVar("T")

log = structlog.get_logger()


class Reading:
    """Reads from the store that may fail without failing the page.

    The states of jobs are in memory; the page shows that the database cannot be read.
    """

    def __init__(self) -> None:
        self.failed = False

    async def or_else(self, question: Awaitable[T], instead: T) -> T:
        """Return the result, or *instead* if the read fails."""
        try:
            return await question
        except StorageError:
            # The store has logged it.
            self.failed = True
            return instead
        except Exception:
            # The rest of the page is useful even after an unexpected error.
            log.exception("page_cannot_read")
            self.failed = True
            return instead
