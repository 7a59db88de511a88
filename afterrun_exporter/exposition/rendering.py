"""The text that Prometheus scrapes, kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from heapq import merge
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.clock import cooperatively, yield_to_loop
from afterrun_exporter.core.shards import WHOLE, Shard
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.chunks import Chunk, Chunks
from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.self_metrics import JobCounts, SelfMetrics
from afterrun_exporter.exposition.snapshot import Page, Snapshot

#: Names that are sorted in one go.
BATCH: Final = 2000
#: How many times all jobs may be kept as text: whole, and in shards.
KEPT: Final = 2


class Exposition:
    """What is scraped of the jobs and of the exporter itself."""

    def __init__(self, service: Service, own: SelfMetrics) -> None:
        self._service = service
        self._follower = service.follow()
        self._own = own
        self._tally = JobCounts()
        self._known: set[str] = set()
        self._changed: set[str] = set()
        #: The one that was asked for last comes last.
        self._views: dict[Shard, View] = {}
        self._rendering = asyncio.Lock()
        #: How many times something has been brought up to date, this time included.
        self._turn = 0
        own.watch(service, self._tally)

    async def scrape(
        self, shard: Shard = WHOLE, wanted: Collection[str] | None = None
    ) -> Page:
        """Return the families of *shard*, or those that are *wanted*.

        As of the last commit, or of one since. What tells of the exporter and not
        of jobs is in the first shard only, lest it be counted several times; but
        alerting rules need to see of every target that it is there.
        """
        jobs = await self._snapshot(shard)
        service = self._service
        self._own.clock_stepped(service.clock_steps, service.settings.up_since)
        own = wanted
        if shard.number > 1:
            only = frozenset({names.BUILD_INFO})
            own = only if wanted is None else only.intersection(wanted)
        return Page(jobs, self._own.render(own), wanted)

    async def _snapshot(self, shard: Shard) -> Snapshot:
        came = self._turn
        async with self._rendering:
            view = self._view(shard)
            # Scrapes that have waited together share what the first of them makes.
            if view.snapshot is None or view.turn <= came:
                self._turn += 1
                view.turn = self._turn
                await self._take_changed()
                return await view.refresh()
            return view.snapshot

    def _view(self, shard: Shard) -> View:
        view = self._views.pop(shard, None) or View(self._service, shard, self._known)
        self._views[shard] = view
        while sum(Fraction(1, kept.count) for kept in self._views) > KEPT:
            del self._views[next(iter(self._views))]
        return view

    async def _take_changed(self) -> None:
        service, changed = self._service, self._follower.take()
        # There are some left only when this was broken off.
        self._changed = self._changed | changed if self._changed else changed
        outdated = [view.outdated for view in self._views.values()]
        async for name in cooperatively(list(self._changed)):
            for where in outdated:
                where.add(name)
            if (known := service.known(name)) is None:
                self._known.discard(name)
                self._tally.put(name, None)
            else:
                self._known.add(name)
                self._tally.put(name, known)
            self._changed.discard(name)


class View:
    """One shard of the jobs, as text."""

    def __init__(self, service: Service, shard: Shard, outdated: set[str]) -> None:
        self._service = service
        self._shard = shard
        self._chunks = Chunks()
        #: Jobs that may have changed, or come or left, since they were rendered.
        self.outdated = set(outdated)
        #: Whose turn it was when it was last brought up to date.
        self.turn = 0
        #: As it is now; None before the first time and while it is being rendered.
        self.snapshot: Snapshot | None = None

    async def refresh(self) -> Snapshot:
        """Render what is outdated, in steps between which everything goes on."""
        if self.snapshot is not None and not self.outdated:
            return self.snapshot
        # What is replaced now is not to be kept until the end.
        self.snapshot = None
        mine = [
            name
            async for name in cooperatively(list(self.outdated))
            if self._shard.holds(name)
        ]
        dirty: dict[Chunk, list[str]] = {}
        async for name in cooperatively(await _in_order(mine)):
            if self._service.known(name) is None:
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
            # One that has left meanwhile goes with the next scrape.
            if (known := service.known(name)) is not None:
                yield ExposedJob(*known, service.settings)


async def _in_order(unsorted: Sequence[str]) -> Iterator[str]:
    # Sorting all of them in one go would take too long.
    starts = range(0, len(unsorted), BATCH)
    return merge(
        *[sorted(unsorted[at : at + BATCH]) async for at in cooperatively(starts)]
    )
