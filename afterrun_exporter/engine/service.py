"""Records pings and watches the clock: load, let the core decide, save.

Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from afterrun_exporter.clock import Clock, in_steps
from afterrun_exporter.core.deadlines import outlook, wake_at
from afterrun_exporter.core.job_config import Catalogue
from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.repeats import is_whole
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.upstream import UNHEALTHY
from afterrun_exporter.engine.change_feed import Follower, Followers
from afterrun_exporter.engine.decisions import Judge
from afterrun_exporter.engine.downtimes import Outages
from afterrun_exporter.engine.job_registry import Roster, is_made_for_tests
from afterrun_exporter.engine.reload import drawn_up, looked_over, recall
from afterrun_exporter.engine.results import Verdict, all_repeating, repeating
from afterrun_exporter.engine.wakeup_queue import Agenda
from afterrun_exporter.errors import StorageError, UnreadableStorageError
from afterrun_exporter.storage.store import Change, Store

#: Jobs that are woken in one transaction, so that pings get their turn.
STEP: Final = 200

#: A job whose judgement fails is left alone for so long, lest it stop the rest.
POISON_PAUSE: Final = 3600.0


class Service:
    """The jobs, their states, and what happens to them."""

    def __init__(
        self, store: Store, clock: Clock, catalogue: Catalogue | None = None
    ) -> None:
        #: Where everything is kept; others only read there.
        self.store = store
        self._clock = clock
        roster = Roster(catalogue or Catalogue())
        self._agenda = agenda = Agenda()
        settings = roster.catalogue.settings
        #: What is decided about jobs, and by which of them.
        self.judge = Judge(
            roster, settings, store.states, store.latest, agenda.when, clock.now
        )
        #: Steps of the clock, pauses, and times in which storage refused.
        self.outages = Outages(clock, self.judge, agenda)
        #: Held while the jobs themselves are changed, and not what happened to them.
        self.changing = asyncio.Lock()
        #: Jobs to look at although their own time has not come.
        self._nudged: set[str] = set()
        #: How far back the history of a job has been recalled.
        self._recalled: dict[str, float] = {}
        self._followers = Followers()
        self._poisoned: dict[str, Exception] = {}
        #: Pings by (dialect, result), for the exporter's own metrics.
        self.pings: Counter[tuple[str, str]] = Counter()
        #: Reported values that were not taken, by reason.
        self.dropped: Counter[str] = Counter()
        #: Transactions that could not be committed, and looks at a broken database.
        self._refusals = 0

    @property
    def catalogue(self) -> Catalogue:
        """What the configuration says."""
        return self.judge.roster.catalogue

    @catalogue.setter
    def catalogue(self, catalogue: Catalogue) -> None:
        self.judge.roster.catalogue = catalogue

    def now(self) -> float:
        """Return the time of day by which jobs are judged."""
        return self._clock.now()

    @property
    def settings(self) -> Settings:
        """What every judgement depends on."""
        return self.judge.settings

    async def start(self) -> None:
        """Make every configured job known, and retire those that have left."""
        states = self.store.states.values()
        newest = max((state.last_ping_at for state in states), default=math.inf)
        self.outages.begin(newest)
        await self.reconfigure(self.catalogue)
        self.outages.look(starting=True)

    async def reconfigure(self, catalogue: Catalogue) -> None:
        """Go by *catalogue* from now on; jobs that have left it are retired.

        Raises StorageError, and then goes by the old one.
        """
        async with self.changing:
            await self._change_over(catalogue)

    async def _change_over(self, catalogue: Catalogue) -> None:
        judge, store = self.judge, self.store
        roster, gone = await drawn_up(catalogue, store.states, judge.roster)
        # Where this fails, histories may have been cut to windows that are not kept.
        known, self._recalled = self._recalled, {}
        now = self._clock.now()
        try:
            with judge.going_by(roster):
                recalled, past = await recall(store, roster, known, now)
                changes = [Change(name, judge.retire(now)) for name in gone]
                changes += await looked_over(judge, store, self._agenda, now, past)
                results = await self._commit(changes)
                async for made in in_steps(zip(changes, results, strict=True)):
                    self._follow_up(*made)
            self._recalled = recalled
            self._set_aside(changes, results)
        finally:
            # Severity, labels or rules may have changed without any fact doing so,
            # and somebody may have looked before they were changed back.
            self._followers.note_all(gone, roster.registered, catalogue.jobs)

    def job(self, name: str) -> Job | None:
        """Return the job of this name, None when it is not watched."""
        return self.judge.roster.get(name)

    def named_by(self, uuid: str) -> str | None:
        """Return the job that has this ping_uuid, None where none has."""
        return self.judge.roster.named_by(uuid)

    def called(self, kind: str, alias: str) -> Iterator[Job]:
        """Yield the jobs with this *alias*, a "name" or a "slug" of other systems."""
        return self.judge.roster.called(kind, alias)

    def state(self, name: str) -> JobState | None:
        """Return what is known of a watched job, as committed."""
        return self.store.states.get(name) if self.job(name) else None

    async def recalled(self, name: str) -> JobState | None:
        """Return what is known of a watched job, with the keys of all runs it has."""
        state = self.state(name)
        if state is None or is_whole(state, self.settings):
            return state
        (result,) = await self.store.update_all([Change(name, self.judge.recall)])
        if isinstance(result, Exception):
            raise result
        return result.state

    def known(self, name: str) -> tuple[Job, JobState] | None:
        """Return both of a job that is watched and has a state."""
        job, state = self.judge.roster.get(name), self.store.states.get(name)
        return None if job is None or state is None else (job, state)

    @property
    def names(self) -> Sequence[str]:
        """The names of all watched jobs, in order, as long as nobody waits."""
        return self.judge.roster.names

    def watched(self) -> Iterator[tuple[Job, JobState]]:
        """Yield every watched job with what is known of it."""
        states, roster = self.store.states, self.judge.roster
        return ((job, states[job.name]) for job in roster if job.name in states)

    def follow(self) -> Follower:
        """Return what collects the jobs that change; at first it has all there are."""
        return self._followers.add(job.name for job, _ in self.watched())

    def database_size(self) -> int:
        """Return the bytes that the store takes on disk."""
        return self.store.size()

    @property
    def storage_errors(self) -> int:
        """Transactions, reads and looks at the files that failed."""
        return self._refusals + self.store.failures()

    async def record(self, ping: Ping) -> Verdict:
        """Make *ping* durable, and act on it.

        Raises UnknownJobError, or StorageError if nothing could be recorded.
        """
        name, judge = ping.job, self.judge
        strangers = {} if self.job(name) else judge.roster.strangers((name,))
        (result,) = await self._commit((Change(name, judge.take(ping, strangers)),))
        if isinstance(result, Exception):
            raise result
        verdict = self._verdict(ping, result, strangers)
        if result.duplicate_of:
            return await repeating(self.store, verdict)
        return verdict

    async def record_all(self, pings: Sequence[Ping]) -> list[Verdict | Exception]:
        """Make *pings* durable in one transaction, and act on them.

        One that cannot be taken is answered with its exception and does not
        harm the others. Raises StorageError if nothing could be recorded.
        """
        strangers = self.judge.roster.strangers(ping.job for ping in pings)
        results = await self._commit(
            [Change(ping.job, self.judge.take(ping, strangers)) for ping in pings]
        )
        verdicts = [
            result
            if isinstance(result, Exception)
            else self._verdict(ping, result, strangers)
            for ping, result in zip(pings, results, strict=True)
        ]
        return await all_repeating(self.store, verdicts)

    async def sweep(self) -> int:
        """Notice what has become true by now; return how many jobs it concerned.

        Raises StorageError when that could not be recorded; the next sweep will
        notice it again.
        """
        self.outages.look()
        if self.outages.is_pending:
            return await self._plan_anew()
        now = self._clock.now()
        due = []
        for name in self._agenda.take_due(now):
            if (known := self.known(name)) is None:
                continue
            when = wake_at(*known, self.settings)
            if when <= now or name in self._nudged:
                due.append(name)
            else:
                self._agenda.plan(name, when)
        self._nudged.difference_update(due)
        wakes = [Change(name, self.judge.wake(name, now)) for name in due]
        try:
            await self._apply_in_steps(wakes)
        except Exception:
            for name in due:
                self._nudge(name)
            raise
        return len(due)

    async def watch(self) -> None:
        """Notice steps of the clock, pauses, and the end of a time of refused commits."""
        outages = self.outages
        outages.look()
        if not outages.watch_storage(self.store.writing_for()):
            return
        # Deadlines that are exposed move on while nothing can be recorded.
        self._followers.note_all(self.names)
        if self.store.writing_for():
            return
        try:
            await self.store.probe()
        except StorageError as error:
            outages.refused(error)
        else:
            outages.accepted()

    async def check_storage(self) -> None:
        """Notice that files of the database were deleted or replaced."""
        try:
            await self.store.check()
        except StorageError as error:
            self._refused(error)

    async def _plan_anew(self) -> int:
        """Look at every job again after a downtime; return how many it concerned.

        Raises StorageError, and then the next sweep does it.
        """
        async with self.changing:
            # Another downtime may be noticed meanwhile.
            self.outages.is_pending = False
            judge, agenda = self.judge, self._agenda
            agenda.clear()
            now = self._clock.now()
            try:
                wakes = await looked_over(judge, self.store, agenda, now, {})
                for name in self._nudged:
                    agenda.plan(name, now)
                await self._apply_in_steps(wakes)
            except BaseException:
                self.outages.is_pending = True
                raise
            finally:
                self._followers.note_all(self.names)
        return len(wakes)

    async def _apply_in_steps(self, changes: Sequence[Change]) -> None:
        for at in range(0, len(changes), STEP):
            step = changes[at : at + STEP]
            self._set_aside(step, await self.apply(step))

    def take_poisoned(self) -> dict[str, Exception]:
        """Return the judgements that raised since this was last asked, by job."""
        poisoned, self._poisoned = self._poisoned, {}
        return poisoned

    async def prune(self) -> int:
        """Forget what the configuration says not to keep; return how many runs."""
        # While the clock may be ahead, young runs may look old.
        now = self._clock.now() - self.outages.ahead()
        before = now - self.catalogue.keep_for
        return await self.store.prune(before, self.catalogue.keep_runs)

    async def apply(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        """Make decisions of `judge` durable in one transaction, and act on them.

        One that cannot be made is answered with its exception. Raises StorageError
        if nothing could be recorded.
        """
        results = await self._commit(changes)
        for change, result in zip(changes, results, strict=True):
            self._follow_up(change, result)
        return results

    async def _commit(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        # A report right after a pause must not be judged as if nothing had happened.
        self.outages.look()
        try:
            results = await self.store.update_all(changes)
        except StorageError as error:
            self._refused(error)
            raise
        if self.outages.is_refusing:
            self.outages.accepted()
        return results

    def _refused(self, error: StorageError) -> None:
        if isinstance(error, UnreadableStorageError):
            # The store counts and logs it, and other reports are recorded.
            return
        self._refusals += 1
        was_refusing = self.outages.is_refusing
        self.outages.refused(error)
        if not was_refusing:
            self._followers.note_all(self.names)

    def _follow_up(self, change: Change, result: Transition | Exception) -> None:
        if isinstance(result, Exception):
            return
        self._note(change.job, result)
        if (known := self.known(change.job)) is not None:
            self._agenda.plan(change.job, wake_at(*known, self.settings))
            if known[1].retired_at is not None:
                self.judge.roster.dismiss(known[0])

    def _note(self, name: str, made: Transition) -> None:
        self._followers.note(name)
        roster = self.judge.roster
        if (made.state.paused_at or roster.paused) and roster.note_pause(
            name, made.state
        ):
            self._nudge(name)
        if made.alerts and any(e.key.condition in UNHEALTHY for e in made.alerts):
            for dependent in self.judge.roster.downstream(name):
                self._nudge(dependent)

    def _set_aside(
        self, changes: Sequence[Change], results: Sequence[Transition | Exception]
    ) -> None:
        """Leave the jobs alone for a while whose judgement raised."""
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, Exception) and self.job(change.job):
                self._poisoned[change.job] = result
                self._agenda.plan(change.job, self._clock.now() + POISON_PAUSE)

    def _nudge(self, name: str) -> None:
        self._nudged.add(name)
        self._agenda.plan(name, self._clock.now())

    def register(self, job: Job) -> Job | None:
        """Watch a job that has a state now; return it as it is watched."""
        state, roster = self.store.states[job.name], self.judge.roster
        # What was true when it was decided may not be when it is committed.
        if roster.catalogue.unknown is None and not is_made_for_tests(job.name, state):
            return None
        described = roster.catalogue.nameless(job.name, state.said)
        roster.register(described)
        self._agenda.plan(job.name, wake_at(described, state, self.settings))
        if described != job:
            self._nudge(job.name)
        return described

    def _verdict(
        self, ping: Ping, made: Transition, strangers: Mapping[str, Job]
    ) -> Verdict:
        """Plan what follows from *ping*, and return what to answer."""
        name, due = ping.job, math.inf
        self._note(name, made)
        if (job := self.job(name)) is None and name in strangers:
            job = self.register(strangers[name])
        if job is not None:
            due, wake = outlook(job, made.state, self.settings)
            self._agenda.plan(name, wake)
        return Verdict(ping, made, made.run, due)
