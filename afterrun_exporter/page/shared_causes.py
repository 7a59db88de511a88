"""Broken jobs grouped by the reason of their alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Final, NamedTuple

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.exit_codes import meaning
from afterrun_exporter.core.model import BLAMELESS, Condition, Job, Run
from afterrun_exporter.core.severities import severity_of
from afterrun_exporter.core.state import JobState, OpenAlert
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.fallible_reads import Reading
from afterrun_exporter.page.job_index import (
    OTHER,
    Entry,
    most_urgent,
    rank,
    traits,
)
from afterrun_exporter.page.reasons import ORDER, host_of
from afterrun_exporter.page.similar_messages import cause_line
from afterrun_exporter.storage.store import Store

#: The number of jobs whose last runs are read at once.
STEP: Final = 100
#: Causes of at least this many jobs come before others, however severe.
MANY: Final = 5
#: The maximum number of traits and hosts of a cause, the most frequent ones.
TOP: Final = 6
#: The maximum number of causes that are shown.
SHOWN: Final = 8
#: The number of jobs that a cause lists.
LISTED: Final = 100

#: Exit codes from here on have a meaning of their own.
_OF_SHELLS: Final = 124
#: Conditions without a message: jobs of one host are likely to have one cause.
_BY_HOST: Final = frozenset({Condition.MISSED, Condition.OVERRUNNING})


#: What a reason depends on: the alerts of a job, and its number of runs.
_Facts = tuple[tuple[OpenAlert, ...], int]


class _Why(NamedTuple):
    """The reason of the worst alert of a job, and the worst severity."""

    severity: str
    condition: Condition
    #: The same for jobs with the same cause.
    pattern: str
    #: The reason of this job alone.
    text: str
    host: str


@dataclass(slots=True)
class Cause:
    """A reason, and the jobs that are broken for it."""

    condition: Condition
    text: str
    pattern: str
    entries: list[Entry] = field(default_factory=list)
    traits: Counter[tuple[str, str]] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    #: Opening times of the alerts.
    first: float = 0.0
    last: float = 0.0
    urgency: tuple[bool, int, float] = (True, OTHER + 1, 0.0)
    #: The worst severity.
    severity: str = ""

    @property
    def count(self) -> int:
        """The number of its jobs."""
        return len(self.entries)

    def top(self, kind: str) -> list[tuple[str, int]]:
        """Return the most frequent labels, projects or tags, with numbers of jobs."""
        own = {value: count for (of, value), count in self.traits.items() if of == kind}
        return _most_frequent(own)

    @property
    def top_hosts(self) -> list[tuple[str, int]]:
        """The most frequent hosts, with numbers of jobs."""
        return _most_frequent(self.hosts)


def _most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return nsmallest(TOP, counts.items(), key=lambda item: (-item[1], item[0]))


class Grouped(NamedTuple):
    """Broken jobs by cause."""

    #: The most important causes of more than one job, and the number of other ones.
    shared: list[Cause]
    more: int
    #: Jobs that are the only ones with their cause, in no order.
    alone: list[Entry]


class Causes:
    """The reasons of broken jobs, which are read again only if a job has changed."""

    def __init__(self) -> None:
        self._reasons: dict[str, tuple[_Facts | None, _Why]] = {}

    async def of(
        self, entries: Sequence[Entry], service: Service, store: Store, reading: Reading
    ) -> Grouped:
        """Return the causes of the broken jobs *entries*."""
        async for at in cooperatively(range(0, len(entries), STEP)):
            await self._read(entries[at : at + STEP], service, store, reading)
        if len(self._reasons) > 2 * len(entries) + STEP:
            names = {entry.job.name for entry in entries}
            self._reasons = {k: v for k, v in self._reasons.items() if k in names}
        causes: dict[tuple[str, str], Cause] = {}
        async for entry in cooperatively(entries):
            if entry.job.name in self._reasons:
                _, why = self._reasons[entry.job.name]
                key = (why.condition.value, why.pattern)
                if (cause := causes.get(key)) is None:
                    causes[key] = cause = Cause(why.condition, why.text, why.pattern)
                _add(cause, entry, why)
        shared, alone = [], []
        count = 0
        async for cause in cooperatively(causes.values()):
            if cause.count == 1:
                alone += cause.entries
                continue
            count += 1
            shared.append(cause)
            if len(shared) > STEP:
                shared = nsmallest(SHOWN, shared, key=_importance)
        best = nsmallest(SHOWN, shared, key=_importance)
        return Grouped(best, count - len(best), alone)

    async def _read(
        self, entries: Sequence[Entry], service: Service, store: Store, reading: Reading
    ) -> None:
        changed: list[tuple[Job, JobState, _Facts]] = []
        for entry in entries:
            name = entry.job.name
            if (job_and_state := service.job_and_state(name)) is None:
                continue
            job, state = job_and_state
            facts = (state.alerts, state.recorded)
            earlier = self._reasons.get(name)
            if earlier is None or earlier[0] != facts:
                changed.append((job, state, facts))
        if not changed:
            return
        names = [job.name for job, _, _ in changed]
        runs = await reading.or_else(store.last_judged(names), {})
        for job, state, facts in changed:
            if (why := _why(job, state, runs.get(job.name))) is not None:
                # It is read again if the database could not be read.
                self._reasons[job.name] = None if reading.failed else facts, why


def _importance(cause: Cause) -> tuple[bool, bool, int, int, float]:
    held_back, severity, newest = cause.urgency
    return held_back, cause.count < MANY, severity, -cause.count, newest


def _add(cause: Cause, entry: Entry, why: _Why) -> None:
    cause.entries.append(entry)
    cause.traits.update(traits(entry.job))
    if why.host:
        cause.hosts[why.host] += 1
    if why.text != cause.text:
        cause.text = cause.pattern
    if entry.urgency is not None:
        if entry.urgency < cause.urgency:
            cause.urgency, cause.severity = entry.urgency, why.severity
        opened_at = -entry.urgency[2]
        cause.first = min(cause.first or opened_at, opened_at)
        cause.last = max(cause.last, opened_at)


def _why(job: Job, state: JobState, run: Run | None) -> _Why | None:
    alerts = [one for one in state.alerts if one.key.condition not in BLAMELESS]
    if not alerts:
        return None
    worst = min(alerts, key=lambda alert: ORDER[alert.key.condition])
    host, condition = host_of(run), worst.key.condition
    severity = min(
        (severity_of(job, one.key.condition, one.key.rule) for one in alerts), key=rank
    )
    if condition is Condition.VIOLATED:
        text = ", ".join(sorted(_rules(alerts)))
        return _Why(severity, condition, text, text, host)
    if condition is Condition.FAILING and run is not None:
        code = _code(run.exit_code)
        names = filter(None, (job.name, job.display_name, run.run_id))
        if (line := cause_line(run.message, names)) is None:
            text = code or f"ended with {run.outcome}"
            return _Why(severity, condition, text, text, host)
        # The codes of a shell say more than many messages: "Killed".
        more = f" ({code})" if (run.exit_code or 0) >= _OF_SHELLS else ""
        text, pattern = f"{line.text}{more}", f"{line.pattern}{more}"
        return _Why(severity, condition, pattern, text, host)
    text = f"last run on {host}" if host and condition in _BY_HOST else ""
    return _Why(severity, condition, text, text, host)


def _code(code: int | None) -> str:
    if code is None:
        return ""
    words = meaning(code)
    return f"exit code {code}: {words}" if words else f"exit code {code}"


def _rules(alerts: Iterable[OpenAlert]) -> set[str]:
    return {one.key.rule for one in alerts if one.key.condition is Condition.VIOLATED}


async def members(cause: Cause) -> list[Entry]:
    """Return the jobs of *cause* to list, the most urgent first."""
    return await most_urgent(cause.entries, LISTED)
