"""What the overview needs to know of every job, kept up to date by those that changed.

A hundred thousand jobs are not looked at anew for each visitor: what is asked about
all of them is here already, and whatever takes longer is done in steps.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge, nsmallest
from typing import Final, NamedTuple

from afterrun_exporter.clock import cooperatively, yield_to_loop
from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.model import BLAMELESS, Condition, Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.engine.periodic import PeriodicTask
from afterrun_exporter.engine.service import Service

#: Jobs that are searched or sorted in one go, and those that are looked at anew.
STEP: Final = 1000
FEW: Final = 250

#: Seconds between two looks at what has changed, while nobody asks.
REFRESH_EVERY: Final = 10.0

#: Words for a job's state besides those of `Status` and `Condition`.
BROKEN: Final = "broken"
RUNNING: Final = "running"
UNOBSERVED: Final = "unobserved"

#: What is most urgent first; a severity that is not here comes after warnings.
SEVERITIES: Final = {
    word: rank
    for rank, words in enumerate(
        (("critical", "page", "emergency"), ("error", "high", "major"), ("warning",))
    )
    for word in words
}
OTHER: Final = 3


class Entry(NamedTuple):
    """One job, as far as it is searched, counted and sorted."""

    job: Job
    status: Status
    #: Every word by which its state can be asked for.
    words: tuple[str, ...]
    #: What sorts the broken: smaller is more urgent. None where nothing is.
    urgency: tuple[bool, int, float] | None


Holds = Callable[[Entry], bool]


class Index:
    """Every job by name, how many are in which state, and which are broken."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._follower = service.follow()
        self._refreshing = asyncio.Lock()
        #: Names that are outdated, left over where a refresh was broken off.
        self._changed: set[str] = set()
        self._entries: dict[str, Entry] = {}
        #: Whether jobs came or left since the names were put in order.
        self._unordered = False
        #: In order. Replaced, never changed: whoever reads it goes on reading it.
        self.names: Sequence[str] = ()
        #: How many jobs can be asked for by each word.
        self.counts: Counter[str] = Counter()
        #: How many jobs have each label, project and tag: ("tag", "backup").
        self.choices: Counter[tuple[str, str]] = Counter()
        self._broken: dict[str, Entry] = {}

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every job, by its name."""
        return self._entries

    async def refresh(self) -> None:
        """Take in what has changed, in steps between which everything goes on."""
        async with self._refreshing:
            changed = self._follower.take()
            # There are some left only when this was broken off.
            self._changed = changed = (
                self._changed | changed if self._changed else changed
            )
            names = list(changed)
            for at in range(0, len(names), FEW):
                step = names[at : at + FEW]
                self._take(step)
                changed.difference_update(step)
                await yield_to_loop()
            if self._unordered:
                self.names = await self._in_order()
                self._unordered = False

    def task(self) -> PeriodicTask:
        """Return the task that refreshes the index, so that a page has little to do."""
        return PeriodicTask(name="index", work=self.refresh, every=REFRESH_EVERY)

    def _take(self, names: Iterable[str]) -> None:
        """Look at these jobs anew."""
        entries, known = self._entries, self._service.known
        for name in names:
            old, now = entries.get(name), known(name)
            if old is not None and now is not None and _goes_on(old, *now):
                continue
            new = None if now is None else entry_of(*now)
            if (old is None) != (new is None):
                self._unordered = True
            self._replace(name, old, new)

    def _replace(self, name: str, old: Entry | None, new: Entry | None) -> None:
        if old == new:
            return
        if old is not None:
            self.counts.subtract(old.words)
            self.choices.subtract(traits(old.job))
            self._broken.pop(name, None)
            del self._entries[name]
        if new is not None:
            self.counts.update(new.words)
            self.choices.update(traits(new.job))
            self._entries[name] = new
            if new.urgency is not None:
                self._broken[name] = new

    async def _in_order(self) -> list[str]:
        # Sorting all of them in one go would take too long.
        every = list(self._entries)
        starts = range(0, len(every), STEP)
        parts = [sorted(every[at : at + STEP]) async for at in cooperatively(starts)]
        return [name async for name in cooperatively(merge(*parts))]

    async def most_urgent(self, limit: int) -> tuple[list[Entry], Counter[str]]:
        """Return the broken jobs that matter most, and what is wrong with all of them."""
        best: list[Entry] = []
        wrong: Counter[str] = Counter()
        every = list(self._broken.values())
        for at in range(0, len(every), STEP):
            step = every[at : at + STEP]
            best = nsmallest(limit, [*best, *step], key=_urgency)
            wrong.update(word for one in step for word in one.words if word in _WRONG)
            await yield_to_loop()
        return best, wrong

    async def find(self, holds: Holds | None, start: int, limit: int) -> SearchResult:
        """Return the jobs for which *holds*, by name: so many from *start* on."""
        names = self.names
        if holds is None:
            page = names[start : start + limit]
            return SearchResult(self._known(page), len(names))
        found: list[Entry] = []
        count = 0
        for at in range(0, len(names), STEP):
            step = self._known(names[at : at + STEP])
            matching = [one for one in step if holds(one)]
            if matching and count < start + limit:
                found += matching[max(0, start - count) : start + limit - count]
            count += len(matching)
            await yield_to_loop()
        return SearchResult(found, count)

    def _known(self, names: Sequence[str]) -> list[Entry]:
        # One that left since the names were put in order is not shown.
        entries = self._entries
        return [entries[name] for name in names if name in entries]


class SearchResult(NamedTuple):
    """Some of the jobs that were asked for, and how many there are."""

    entries: list[Entry]
    total: int


_WELL: Final = (Status.OK.value,)
_WRONG: Final = frozenset(condition.value for condition in Condition)


def _urgency(entry: Entry) -> tuple[tuple[bool, int, float], str]:
    return entry.urgency or (True, OTHER, 0.0), entry.job.name


def entry_of(job: Job, state: JobState) -> Entry:
    """Return what is to be known of *job*."""
    one = status(job, state)
    words = (one.value, RUNNING) if state.open_runs else (one.value,)
    if state.unobserved is not None:
        words = (*words, UNOBSERVED)
    wrong = [a for a in state.alerts if a.key.condition not in BLAMELESS]
    if not wrong or one is Status.PAUSED:
        return Entry(job, one, _shared(words), None)
    conditions = {alert.key.condition.value for alert in wrong} - {one.value}
    urgency = (
        held_back(state),
        min(_rank(job, alert.key.rule) for alert in wrong),
        -max(alert.opened_at for alert in wrong),
    )
    return Entry(job, one, (*words, *sorted(conditions), BROKEN), urgency)


def _goes_on(entry: Entry, job: Job, state: JobState) -> bool:
    """Return whether a job that was well just is, as nearly all are; False may be wrong."""
    return (
        entry.words == _WELL
        and entry.job is job
        and not (state.alerts or state.open_runs or state.retries or state.unobserved)
    )


def held_back(state: JobState) -> bool:
    """Return whether nobody is told of the job: one that it requires is to blame."""
    return any(a.key.condition is Condition.UPSTREAM_UNHEALTHY for a in state.alerts)


def severity_of(job: Job, rule: str) -> str:
    """Return the severity of an alert of *job*, about *rule* if that is not ""."""
    own = next((one.severity for one in job.rules if rule and one.name == rule), None)
    return own or job.severity


def _rank(job: Job, rule: str) -> int:
    return SEVERITIES.get(severity_of(job, rule).lower(), OTHER)


def traits(job: Job) -> Iterator[tuple[str, str]]:
    """Yield what *job* can be filtered by besides its state."""
    for key, value in job.labels:
        if value:
            yield "label", f"{key}={value}"
    if job.project:
        yield "project", job.project
    for tag in job.tags:
        yield "tag", tag


_SHARED: Final[dict[tuple[str, ...], tuple[str, ...]]] = {}


def _shared(words: tuple[str, ...]) -> tuple[str, ...]:
    # Most jobs have one of a few; there are as many of these as there are words.
    return _SHARED.setdefault(words, words)
