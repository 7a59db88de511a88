"""Reading many stored runs of a job without holding all of their texts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.model import Run
from afterrun_exporter.storage.store import Store

#: Characters of texts to read at once: a run may have a million.
SIZE: Final = 4_000_000
#: The longest metadata to keep where none is needed.
SHORT: Final = 1000


async def stored_runs(
    store: Store, job: str, limit: int, before: int | None = None
) -> AsyncIterator[Run]:
    """Yield the runs that `Store.runs` returns, reading some of them at a time."""
    while limit > 0:
        runs = await store.runs(job, limit, before, size=SIZE)
        for run in runs:
            yield run
        if sum(run.size for run in runs) <= SIZE:
            return
        limit, before = limit - len(runs), runs[-1].number


def without_metadata(run: Run) -> Run:
    """Return *run*; long metadata is left out."""
    return replace(run, metadata="") if len(run.metadata) > SHORT else run
