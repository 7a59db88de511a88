"""An index of all jobs for the overview, updated incrementally.

Filters, counts and names are in memory, because evaluating 100,000 jobs for each
request would take too long. Longer operations yield to the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge, nsmallest
from itertools import islice
from typing import Final, NamedTuple

from afterrun_exporter.clock import cooperatively, yield_to_loop
from afterrun_exporter.core.job_query import BROKEN, Predicate, states_of
from afterrun_exporter.core.model import BLAMELESS, Condition, Job
from afterrun_exporter.core.severities import severity_of
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.status import Status
from afterrun_exporter.engine.periodic import PeriodicTask
from afterrun_exporter.engine.service import Service

#: Jobs that are searched or sorted, and jobs that are evaluated, between two yields.
STEP: Final = 1000
FEW: Final = 250

#: Seconds between refreshes while there are no requests.
REFRESH_EVERY: Final = 10.0

#: Ranks of severities, the most urgent first; others come after warnings.
SEVERITIES: Final = {
    word: rank
    for rank, words in enumerate(
        (("critical", "page", "emergency"), ("error", "high", "major"), ("warning",))
    )
    for word in words
}
OTHER: Final = 3


class Entry(NamedTuple):
    """The facts by which a job is searched, counted and sorted."""

    job: Job
    #: All states that it is in, as `states_of` returns them.
    states: tuple[str, ...]
    #: The sort key of broken jobs, the most urgent first. None if it is not broken.
    urgency: tuple[bool, int, float] | None


class Index:
    """All jobs by name, counts by state, and the broken jobs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._follower = service.follow()
        self._refreshing = asyncio.Lock()
        #: Outdated names, if a refresh was cancelled.
        self._changed: set[str] = set()
        self._entries: dict[str, Entry] = {}
        #: True if jobs were added or removed since the names were sorted.
        self._unordered = False
        #: Sorted. Replaced, never changed, because readers may hold a reference.
        self.names: Sequence[str] = ()
        #: The number of jobs in each state.
        self.counts: Counter[str] = Counter()
        #: The number of jobs with each label, project and tag, as ("tag", "backup").
        self.choices: Counter[tuple[str, str]] = Counter()
        self._broken: dict[str, Entry] = {}

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All jobs by name."""
        return self._entries

    async def refresh(self) -> None:
        """Apply changes in steps that yield to the event loop."""
        async with self._refreshing:
            changed = self._follower.take()
            # Names remain only if a refresh was cancelled.
            self._changed = changed = (
                self._changed | changed if self._changed else changed
            )
            names = list(changed)
            for at in range(0, len(names), FEW):
                step = names[at : at + FEW]
                self._update(step)
                changed.difference_update(step)
                await yield_to_loop()
            if self._unordered:
                self.names = await self._in_order()
                self._unordered = False

    def task(self) -> PeriodicTask:
        """Return the task that refreshes the index, so that a page has little to do."""
        return PeriodicTask(name="index", work=self.refresh, every=REFRESH_EVERY)

    def _update(self, names: Iterable[str]) -> None:
        """Update the entries of these jobs."""
        entries, find_job = self._entries, self._service.job_and_state
        for name in names:
            old, now = entries.get(name), find_job(name)
            if old is not None and now is not None and _is_unchanged(old, *now):
                continue
            new = None if now is None else entry_of(*now)
            if (old is None) != (new is None):
                self._unordered = True
            self._replace(name, old, new)

    def _replace(self, name: str, old: Entry | None, new: Entry | None) -> None:
        if old == new:
            return
        if old is not None:
            self.counts.subtract(old.states)
            self.choices.subtract(traits(old.job))
            self._broken.pop(name, None)
            del self._entries[name]
        if new is not None:
            self.counts.update(new.states)
            self.choices.update(traits(new.job))
            self._entries[name] = new
            if new.urgency is not None:
                self._broken[name] = new

    async def _in_order(self) -> list[str]:
        # Sorting all of them at once would block the event loop.
        every = list(self._entries)
        starts = range(0, len(every), STEP)
        parts = [sorted(every[at : at + STEP]) async for at in cooperatively(starts)]
        return [name async for name in cooperatively(merge(*parts))]

    @property
    def broken(self) -> list[Entry]:
        """The broken jobs, in no order."""
        return list(self._broken.values())

    async def broken_states(self) -> Counter[str]:
        """Return the number of broken jobs by state."""
        wrong: Counter[str] = Counter()
        every = self.broken
        for at in range(0, len(every), STEP):
            step = every[at : at + STEP]
            wrong.update(one.states[0] for one in step)
            await yield_to_loop()
        return wrong

    async def find(
        self, predicate: Predicate | None, start: int, limit: int
    ) -> SearchResult:
        """Return up to *limit* jobs that match, by name, from *start* on."""
        names = self.names
        if predicate is None:
            page = names[start : start + limit]
            return SearchResult(self._entries_of(page), len(names))
        matches: list[Entry] = []
        count = 0
        for at in range(0, len(names), STEP):
            step = self._entries_of(names[at : at + STEP])
            matching = [one for one in step if predicate(one.job, one.states)]
            if matching and count < start + limit:
                matches += matching[max(0, start - count) : start + limit - count]
            count += len(matching)
            await yield_to_loop()
        return SearchResult(matches, count)

    async def find_sorted(
        self, predicate: Predicate | None, start: int, limit: int, order: Order
    ) -> SearchResult:
        """Return up to *limit* jobs that match, sorted by *order*, from *start* on."""
        names, find_job, end = self.names, self._service.job_and_state, start + limit
        best: list[tuple[float, str]] = []
        parts: list[list[tuple[float, str]]] = []
        count = 0
        for at in range(0, len(names), FEW):
            part: list[tuple[float, str]] = []
            for entry in self._entries_of(names[at : at + FEW]):
                name = entry.job.name
                if predicate is not None and not predicate(entry.job, entry.states):
                    continue
                if (job_and_state := find_job(name)) is not None:
                    part.append((order(entry, *job_and_state), name))
            count += len(part)
            part.sort()
            if end <= STEP:
                # Only the first ones are needed: fewer objects to keep.
                best = sorted([*best, *part])[:end]
            else:
                parts.append(part)
            await yield_to_loop()
        merged = merge(best, *parts)
        page = [
            name
            async for place, (_, name) in cooperatively(enumerate(islice(merged, end)))
            if place >= start
        ]
        return SearchResult(self._entries_of(page), count)

    def _entries_of(self, names: Sequence[str]) -> list[Entry]:
        # Jobs that were removed since the names were sorted are left out.
        entries = self._entries
        return [entries[name] for name in names if name in entries]


class SearchResult(NamedTuple):
    """A page of matching jobs, and their total number."""

    entries: list[Entry]
    total: int


async def most_urgent(entries: Sequence[Entry], limit: int) -> list[Entry]:
    """Return the most urgent of *entries*, in steps that yield to the event loop."""
    best: list[Entry] = []
    for at in range(0, len(entries), STEP):
        best = nsmallest(limit, [*best, *entries[at : at + STEP]], key=_urgency)
        await yield_to_loop()
    return best


#: Returns the sort key of a job; infinity for jobs that come last.
Order = Callable[[Entry, Job, JobState], float]

_WELL: Final = (Status.OK.value,)


def _urgency(entry: Entry) -> tuple[tuple[bool, int, float], str]:
    return entry.urgency or (True, OTHER, 0.0), entry.job.name


def entry_of(job: Job, state: JobState) -> Entry:
    """Return the index entry of *job*."""
    states = _shared(states_of(job, state))
    if BROKEN not in states:
        return Entry(job, states, None)
    wrong = [a for a in state.alerts if a.key.condition not in BLAMELESS]
    urgency = (
        held_back(state),
        min(
            rank(severity_of(job, alert.key.condition, alert.key.rule))
            for alert in wrong
        ),
        -max(alert.opened_at for alert in wrong),
    )
    return Entry(job, states, urgency)


def _is_unchanged(entry: Entry, job: Job, state: JobState) -> bool:
    """Return True if a job was and is ok; a fast path that may return False for others."""
    return (
        entry.states == _WELL
        and entry.job is job
        and not (state.alerts or state.open_runs or state.retries or state.unobserved)
    )


def held_back(state: JobState) -> bool:
    """Return True if alerts of the job are suppressed because a required job is broken."""
    return any(a.key.condition is Condition.UPSTREAM_UNHEALTHY for a in state.alerts)


def rank(severity: str) -> int:
    """Return the rank of *severity*: the most urgent has the lowest."""
    return SEVERITIES.get(severity.lower(), OTHER)


def traits(job: Job) -> Iterator[tuple[str, str]]:
    """Yield the labels, project and tags of *job* for filters."""
    for key, value in job.labels:
        if value:
            yield "label", f"{key}={value}"
    if job.project:
        yield "project", job.project
    for tag in job.tags:
        yield "tag", tag


_SHARED: Final[dict[tuple[str, ...], tuple[str, ...]]] = {}


def _shared(states: tuple[str, ...]) -> tuple[str, ...]:
    # Most jobs share a few combinations, which saves memory.
    return _SHARED.setdefault(states, states)
