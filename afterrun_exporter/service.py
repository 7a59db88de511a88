"""Records pings and watches the clock: load, let the core decide, save.

Nothing is decided here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from afterrun_exporter.agenda import Agenda
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.catalogue import Catalogue, plain_job
from afterrun_exporter.core.deadlines import deadline
from afterrun_exporter.core.model import Job, Ping, Run
from afterrun_exporter.core.repeats import REMEMBERED
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.transitions import (
    on_clock,
    on_ping,
    on_retired,
    registered,
    wake_at,
)
from afterrun_exporter.errors import StorageError, UnknownJobError
from afterrun_exporter.storage.store import Change, Decide, Store

#: Jobs that are woken in one transaction, so that pings get their turn.
STEP: Final = 200

#: A job whose judgement fails is left alone for so long, lest it stop the rest.
POISON_PAUSE: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was made of a ping; it is on disk."""

    ping: Ping
    transition: Transition
    #: The run that it finished, or repeats the finish of.
    run: Run | None
    #: From when on the job counts as missed; +inf for never.
    deadline: float


class Service:
    """The jobs, their states, and what happens to them."""

    def __init__(
        self, store: Store, clock: Clock, catalogue: Catalogue | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._registered: dict[str, Job] = {}
        self._agenda = Agenda()
        self._changed: set[str] = set()
        self._poisoned: dict[str, Exception] = {}
        self.catalogue = catalogue or Catalogue()
        #: What every judgement depends on.
        self.settings = self.catalogue.settings
        #: Pings by (dialect, result), for the exporter's own metrics.
        self.pings: Counter[tuple[str, str]] = Counter()
        #: Reported values that were not taken, by reason.
        self.dropped: Counter[str] = Counter()
        #: Transactions that could not be committed.
        self.storage_errors = 0

    async def start(self) -> None:
        """Make every configured job known, and retire those that have left."""
        settled_at = self._clock.now() + self.catalogue.settle
        self.settings = replace(self.settings, settled_at=settled_at)
        await self.reconfigure(self.catalogue)

    async def reconfigure(self, catalogue: Catalogue) -> None:
        """Go by *catalogue* from now on; jobs that have left it are retired.

        Raises StorageError, and then goes by the old one.
        """
        now = self._clock.now()
        live = {n: s for n, s in self._store.states.items() if s.retired_at is None}
        gone = [
            name
            for name, state in live.items()
            if name not in catalogue.jobs
            # What only pings have named stays, as long as pings may name jobs.
            and (state.configured or catalogue.unknown is None)
        ]
        unknown = catalogue.unknown or plain_job
        stray = live.keys() - catalogue.jobs.keys() - set(gone)
        before = self.catalogue, self.settings, self._registered
        self.catalogue = catalogue
        self.settings = replace(catalogue.settings, settled_at=self.settings.settled_at)
        self._registered = {name: unknown(name) for name in stray}
        changes = [Change(name, _retire(now)) for name in gone]
        changes += [
            Change(name, self._wake(name, now)) for name in (*catalogue.jobs, *stray)
        ]
        try:
            self._set_aside(changes, await self._apply(changes))
        except StorageError:
            self.catalogue, self.settings, self._registered = before
            raise
        # Severity, labels or rules may have changed without any fact doing so.
        self._changed.update(change.job for change in changes)

    def job(self, name: str) -> Job | None:
        """Return the job of this name, None when it is not watched."""
        return self.catalogue.jobs.get(name) or self._registered.get(name)

    def state(self, name: str) -> JobState | None:
        """Return what is known of a watched job, as committed."""
        return self._store.states.get(name) if self.job(name) else None

    def watched(self) -> Iterator[tuple[Job, JobState]]:
        """Yield every watched job with what is known of it."""
        for jobs in (self.catalogue.jobs, self._registered):
            for name, job in jobs.items():
                if (state := self._store.states.get(name)) is not None:
                    yield job, state

    def take_changed(self) -> set[str]:
        """Return the jobs that changed, or left, since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def database_size(self) -> int:
        """Return the bytes that the store takes on disk."""
        return self._store.size()

    async def record(self, ping: Ping) -> Verdict:
        """Make *ping* durable, and act on it.

        Raises UnknownJobError, or StorageError if nothing could be recorded.
        """
        (verdict,) = await self.record_all([ping])
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    async def record_all(self, pings: Sequence[Ping]) -> list[Verdict | Exception]:
        """Make *pings* durable in one transaction, and act on them.

        One that cannot be taken is answered with its exception and does not
        harm the others. Raises StorageError if nothing could be recorded.
        """
        strangers = self._strangers(pings)
        results = await self._apply(
            [Change(ping.job, self._take(ping, strangers)) for ping in pings]
        )
        for ping, result in zip(pings, results, strict=True):
            if isinstance(result, Transition) and self.job(ping.job) is None:
                self._register(strangers[ping.job])
        repeated = {
            ping.job
            for ping, result in zip(pings, results, strict=True)
            if isinstance(result, Transition) and result.duplicate_of
        }
        earlier = {
            (job, run.number): run
            for job in repeated
            for run in await self._store.runs(job, REMEMBERED)
        }
        return [
            result
            if isinstance(result, Exception)
            else self._verdict(ping, result, earlier)
            for ping, result in zip(pings, results, strict=True)
        ]

    async def sweep(self) -> int:
        """Notice what has become true by now; return how many jobs it concerned.

        Raises StorageError when that could not be recorded; the next sweep will
        notice it again.
        """
        now = self._clock.now()
        due = []
        for name in self._agenda.take_due(now):
            job, state = self.job(name), self.state(name)
            if job is None or state is None:
                continue
            if (when := wake_at(job, state, self.settings)) <= now:
                due.append(name)
            else:
                self._agenda.plan(name, when)
        for at in range(0, len(due), STEP):
            step = [Change(name, self._wake(name, now)) for name in due[at : at + STEP]]
            try:
                self._set_aside(step, await self._apply(step))
            except Exception:
                for name in due[at:]:
                    self._agenda.plan(name, now)
                raise
        return len(due)

    def take_poisoned(self) -> dict[str, Exception]:
        """Return the judgements that raised since this was last asked, by job."""
        poisoned, self._poisoned = self._poisoned, {}
        return poisoned

    async def prune(self) -> int:
        """Forget what the configuration says not to keep; return how many runs."""
        before = self._clock.now() - self.catalogue.keep_for
        return await self._store.prune(before, self.catalogue.keep_runs)

    async def _apply(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        try:
            results = await self._store.update_all(changes)
        except StorageError:
            self.storage_errors += 1
            raise
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, Exception):
                continue
            self._changed.add(change.job)
            job, state = self.job(change.job), self.state(change.job)
            if job is not None and state is not None:
                self._agenda.plan(change.job, wake_at(job, state, self.settings))
        return results

    def _set_aside(
        self, changes: Sequence[Change], results: Sequence[Transition | Exception]
    ) -> None:
        """Leave the jobs alone for a while whose judgement raised."""
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, Exception) and self.job(change.job):
                self._poisoned[change.job] = result
                self._agenda.plan(change.job, self._clock.now() + POISON_PAUSE)

    def _strangers(self, pings: Sequence[Ping]) -> dict[str, Job]:
        """Return the jobs that *pings* may register, as far as there is room."""
        unknown = self.catalogue.unknown
        if unknown is None:
            return {}
        names = dict.fromkeys(p.job for p in pings if self.job(p.job) is None)
        known = len(self.catalogue.jobs) + len(self._registered)
        room = max(0, self.catalogue.max_jobs - known)
        return {name: unknown(name) for name in islice(names, room)}

    def _register(self, job: Job) -> None:
        self._registered[job.name] = job
        if (state := self.state(job.name)) is not None:
            self._agenda.plan(job.name, wake_at(job, state, self.settings))

    def _take(self, ping: Ping, strangers: Mapping[str, Job]) -> Decide:
        def decide(state: JobState | None) -> Transition:
            job = self.job(ping.job) or strangers.get(ping.job)
            if job is None:
                raise UnknownJobError(self.catalogue.refusal(ping.job))
            known = state or registered(job, ping.at)
            return on_ping(job, known, ping, self.settings)

        return decide

    def _wake(self, name: str, now: float) -> Decide:
        def decide(state: JobState | None) -> Transition:
            if (job := self.job(name)) is None:
                raise UnknownJobError(f"job {name!r} has left the configuration")
            known = state or registered(job, now)
            return on_clock(job, known, now, self.settings)

        return decide

    def _verdict(
        self,
        ping: Ping,
        transition: Transition,
        earlier: Mapping[tuple[str, int], Run],
    ) -> Verdict:
        run = transition.run or earlier.get((ping.job, transition.duplicate_of))
        job = self.job(ping.job)
        due = deadline(job, transition.state, self.settings) if job else math.inf
        return Verdict(ping, transition, run, due)


def _retire(now: float) -> Decide:
    def decide(state: JobState | None) -> Transition:
        # Only jobs with a state are ever retired.
        return on_retired(state or JobState(created_at=now, due_after=now), now)

    return decide
