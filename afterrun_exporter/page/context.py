"""Dependencies shared by the handlers of all pages."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeVar

import structlog

from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.clock import Clock
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.page.index import Index
from afterrun_exporter.page.site import Site
from afterrun_exporter.storage.store import Store

#: The number of names before and after that are compared, to bound the time.
NEIGHBOURS: Final = 300

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The services that pages use."""

    service: Service
    store: Store
    receivers: Receivers
    job_admin: JobAdmin
    clock: Clock
    site: Site
    index: Index

    def near(self, name: str) -> list[str]:
        """Return the names of jobs similar to *name*."""
        names = self.index.names
        place = bisect_left(names, name)
        around = names[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
        return get_close_matches(name, around, n=5, cutoff=0.5)


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
