"""What the handlers of all pages share."""

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

#: Names that are looked at for near misses: among very many it would take long.
NEIGHBOURS: Final = 300

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Whom pages ask, and who does what they are told."""

    service: Service
    store: Store
    receivers: Receivers
    job_admin: JobAdmin
    clock: Clock
    site: Site
    index: Index

    def near(self, name: str) -> list[str]:
        """Return jobs that may have been meant by *name*."""
        names = self.index.names
        place = bisect_left(names, name)
        around = names[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
        return get_close_matches(name, around, n=5, cutoff=0.5)


class Reading:
    """Questions to the store, which a page survives if they cannot be answered.

    What is broken is known without the database; that it cannot be read is told.
    """

    def __init__(self) -> None:
        self.failed = False

    async def or_else(self, question: Awaitable[T], instead: T) -> T:
        """Return the answer, or *instead* when there is none."""
        try:
            return await question
        except StorageError:
            # The store has logged it.
            self.failed = True
            return instead
        except Exception:
            # Whatever the store has raised, the rest of the page is needed now.
            log.exception("page_cannot_read")
            self.failed = True
            return instead
