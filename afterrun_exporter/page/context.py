"""Dependencies shared by the handlers of all pages."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.clock import Clock
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.common_context import Site
from afterrun_exporter.page.job_index import Index
from afterrun_exporter.page.shared_causes import Causes
from afterrun_exporter.storage.store import Store

#: The number of names before and after that are compared, to bound the time.
NEIGHBOURS: Final = 300


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
    causes: Causes = field(default_factory=Causes)

    def near(self, name: str) -> list[str]:
        """Return the names of jobs similar to *name*."""
        names = self.index.names
        place = bisect_left(names, name)
        around = names[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]
        return get_close_matches(name, around, n=5, cutoff=0.5)
