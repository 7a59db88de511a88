"""Incremental rendering of the text for scrapes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from heapq import merge
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.clock import cooperatively, yield_to_loop
from afterrun_exporter.core.scrape_shards import WHOLE, Shard
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.chunks import Chunk, Chunks
from afterrun_exporter.exposition.encoders import Shape
from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.families import FAMILIES
from afterrun_exporter.exposition.request_metrics import Requests
from afterrun_exporter.exposition.self_metrics import JobCounts, SelfMetrics
from afterrun_exporter.exposition.snapshot import Page, Snapshot

#: Names that are sorted between two yields.
BATCH: Final = 2000
#: The maximum number of copies of all jobs as text: whole, and in shards.
KEPT: Final = 2


class Exposition:
    """The metrics of jobs and of the exporter itself."""

    def __init__(self, service: Service, own: SelfMetrics) -> None:
        self._service = service
        self._follower = service.follow()
        self._own = own
        self._tally = JobCounts()
        self._all_names: set[str] = set()
        self._changed: set[str] = set()
        self._disabled: frozenset[str] = frozenset()
        self._families: tuple[Shape, ...] = FAMILIES
        #: The most recently used one is last.
        self._views: dict[Shard, View] = {}
        self._rendering = asyncio.Lock()
        #: The number of refreshes so far, including the current one.
        self._turn = 0
        own.watch(service, self._tally)

    def watch_requests(self, requests: Requests) -> None:
        """Expose the numbers and durations of *requests*."""
        self._own.watch_requests(requests)

    async def scrape(
        self,
        shard: Shard = WHOLE,
        families: Collection[str] | None = None,
        *,
        is_openmetrics: bool = False,
    ) -> Page:
        """Return all metric families of *shard*, or only *families*.

        The result includes all commits before the call. The exporter's own metrics are
        only in the first shard, so that they are not counted several times, except
        afterrun_build_info, by which alerting rules detect each target.
        """
        jobs = await self._snapshot(shard)
        service = self._service
        self._own.clock_stepped(service.clock_steps, service.settings.up_since)
        own = families
        if shard.number > 1:
            only = frozenset({names.BUILD_INFO})
            own = only if families is None else only.intersection(families)
        text = self._own.render(own, is_openmetrics=is_openmetrics)
        return Page(jobs, text, families, is_openmetrics=is_openmetrics)

    async def _snapshot(self, shard: Shard) -> Snapshot:
        arrival = self._turn
        async with self._rendering:
            self._choose_families()
            view = self._view(shard)
            # Scrapes that waited at the same time share the first one's snapshot.
            if view.snapshot is None or view.turn <= arrival:
                self._turn += 1
                view.turn = self._turn
                await self._take_changed()
                return await view.refresh()
            return view.snapshot

    def _choose_families(self) -> None:
        """Follow the configuration; another choice has every job rendered again."""
        disabled = self._service.job_config.disabled_families
        if disabled != self._disabled:
            self._disabled = disabled
            self._families = tuple(one for one in FAMILIES if one.name not in disabled)
            self._views.clear()

    def _view(self, shard: Shard) -> View:
        view = self._views.pop(shard, None) or View(
            self._service, shard, self._all_names, self._families
        )
        self._views[shard] = view
        while sum(Fraction(1, retained.count) for retained in self._views) > KEPT:
            del self._views[next(iter(self._views))]
        return view

    async def _take_changed(self) -> None:
        service, changed = self._service, self._follower.take()
        # Names remain only if a refresh was cancelled.
        self._changed = self._changed | changed if self._changed else changed
        outdated = [view.outdated for view in self._views.values()]
        async for name in cooperatively(list(self._changed)):
            for where in outdated:
                where.add(name)
            if (job_and_state := service.job_and_state(name)) is None:
                self._all_names.discard(name)
                self._tally.put(name, None)
            else:
                self._all_names.add(name)
                self._tally.put(name, job_and_state)
            self._changed.discard(name)


class View:
    """The text of one shard of the jobs."""

    def __init__(
        self,
        service: Service,
        shard: Shard,
        outdated: set[str],
        families: Sequence[Shape],
    ) -> None:
        self._service = service
        self._shard = shard
        self._chunks = Chunks(families)
        #: Names of jobs that were changed, added or removed since the last refresh.
        self.outdated = set(outdated)
        #: The number of the last refresh.
        self.turn = 0
        #: The current snapshot; None before the first refresh and during a refresh.
        self.snapshot: Snapshot | None = None

    async def refresh(self) -> Snapshot:
        """Render outdated jobs in steps that yield to the event loop."""
        if self.snapshot is not None and not self.outdated:
            return self.snapshot
        # Release the old snapshot before the new one is built, to save memory.
        self.snapshot = None
        mine = [
            name
            async for name in cooperatively(list(self.outdated))
            if self._shard.holds(name)
        ]
        dirty: dict[Chunk, list[str]] = {}
        async for name in cooperatively(await _in_order(mine)):
            if self._service.job_and_state(name) is None:
                self._chunks.drop(name)
            else:
                dirty.setdefault(self._chunks.home(name), []).append(name)
        async for chunk, changed in cooperatively(dirty.items()):
            chunk.update(self._subjects(changed))
        self.outdated.clear()
        self.snapshot = snapshot = Snapshot(self._chunks.pieces())
        await yield_to_loop()
        return snapshot

    def _subjects(self, changed: Iterable[str]) -> Iterator[ExposedJob]:
        service = self._service
        for name in changed:
            # Jobs that were removed meanwhile are dropped at the next scrape.
            if (job_and_state := service.job_and_state(name)) is not None:
                yield ExposedJob(*job_and_state, service.settings)


async def _in_order(unsorted: Sequence[str]) -> Iterator[str]:
    # Sorting all of them at once would block the event loop.
    starts = range(0, len(unsorted), BATCH)
    return merge(
        *[sorted(unsorted[at : at + BATCH]) async for at in cooperatively(starts)]
    )
