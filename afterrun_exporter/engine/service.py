"""Recording pings and watching the clock: load, let the core decide, save."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.deadlines import outlook, wake_at
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job, Ping
from afterrun_exporter.core.repeats import is_whole
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.upstream import UNHEALTHY
from afterrun_exporter.engine import reload
from afterrun_exporter.engine.change_feed import ChangeFeed, Subscriber
from afterrun_exporter.engine.decisions import Decisions
from afterrun_exporter.engine.downtimes import DowntimeMonitor
from afterrun_exporter.engine.job_registry import JobRegistry, is_made_for_tests
from afterrun_exporter.engine.results import ReportResult, all_repeating, repeating
from afterrun_exporter.engine.wakeup_queue import WakeupQueue
from afterrun_exporter.engine.watched_jobs import WatchedJobs
from afterrun_exporter.errors import StorageError, UnreadableStorageError
from afterrun_exporter.storage.store import Change, Store

#: Jobs that are woken in one transaction, so that pings get their turn.
STEP: Final = 200

#: A job whose judgement fails is left alone for so long, lest it stop the rest.
FAILED_JOB_PAUSE: Final = 3600.0


class Service(WatchedJobs):
    """The jobs, their states, and what happens to them."""

    def __init__(
        self, store: Store, clock: Clock, job_config: JobConfig | None = None
    ) -> None:
        registry = JobRegistry(job_config or JobConfig())
        self._wakeups = wakeups = WakeupQueue()
        settings = registry.job_config.settings
        decisions = Decisions(
            registry, settings, store.states, store.latest, wakeups.when, clock.now
        )
        super().__init__(store, clock, decisions)
        #: Steps of the clock, pauses, and times in which storage refused.
        self.downtimes = DowntimeMonitor(clock, self.decisions, wakeups)
        #: Held while the jobs themselves are changed, and not what happened to them.
        self.changing = asyncio.Lock()
        #: Jobs to look at although their own time has not come.
        self._scheduled: set[str] = set()
        #: How far back the history of a job has been recalled.
        self._recalled: dict[str, float] = {}
        self._change_feed = ChangeFeed()
        self._failed_jobs: dict[str, Exception] = {}
        #: Pings by (dialect, result), for the exporter's own metrics.
        self.pings: Counter[tuple[str, str]] = Counter()
        #: Reported values that were not taken, by reason.
        self.dropped: Counter[str] = Counter()
        #: Transactions that could not be committed, and looks at a broken database.
        self._refusals = 0

    async def start(self) -> None:
        """Make every configured job known, and retire those that have left."""
        states = self.store.states.values()
        newest = max((state.last_ping_at for state in states), default=math.inf)
        self.downtimes.begin(newest)
        await self.reconfigure(self.job_config)
        # Here before anything changed.
        self._change_feed.note_all(self.names)
        self.downtimes.look(starting=True)

    async def reconfigure(self, job_config: JobConfig) -> None:
        """Go by *job_config* from now on; jobs that have left it are retired.

        Raises StorageError, and then goes by the old one.
        """
        async with self.changing:
            await self._change_over(job_config)

    async def _change_over(self, job_config: JobConfig) -> None:
        decisions, store = self.decisions, self.store
        old = decisions.job_registry
        registry, gone = await reload.build_registry(job_config, store.states, old)
        # Where this fails, histories may have been cut to windows that are not kept.
        known, self._recalled = self._recalled, {}
        now = self._clock.now()
        try:
            with decisions.using(registry):
                recalled, past = await reload.recall(store, registry, known, now)
                changes = [Change(name, decisions.retire(now)) for name in gone]
                changes += await reload.plan_changes(
                    decisions, store, self._wakeups, now, past
                )
                results = await self._commit(changes)
                async for made in cooperatively(zip(changes, results, strict=True)):
                    self._follow_up(*made)
            self._recalled = recalled
            self._back_off(changes, results)
        except BaseException:
            # Somebody may have looked before they were changed back.
            self._change_feed.note_all(gone, registry.registered, job_config.jobs)
            raise
        # Severity, labels or rules may have changed without any fact doing so.
        self._change_feed.note_all(gone, await reload.changed_jobs(old, registry))

    async def recalled(self, name: str) -> JobState | None:
        """Return what is known of a watched job, with the keys of all runs it has."""
        state = self.state(name)
        if state is None or is_whole(state, self.settings):
            return state
        (result,) = await self.store.update_all([Change(name, self.decisions.recall)])
        if isinstance(result, Exception):
            raise result
        return result.state

    def follow(self) -> Subscriber:
        """Return what collects the jobs that change; at first it has all there are."""
        return self._change_feed.add(job.name for job, _ in self.watched())

    @property
    def clock_steps(self) -> int:
        """Steps of the wall clock that were noticed."""
        return self.downtimes.steps

    @property
    def pauses(self) -> int:
        """Pauses of the whole process that were noticed."""
        return self.downtimes.pauses

    @property
    def storage_errors(self) -> int:
        """Transactions, reads and looks at the files that failed."""
        return self._refusals + self.store.failures()

    async def record(self, ping: Ping) -> ReportResult:
        """Make *ping* durable, and act on it.

        Raises UnknownJobError, or StorageError if nothing could be recorded.
        """
        name, decisions = ping.job, self.decisions
        new = {} if self.job(name) else self._registry.auto_registered((name,))
        (result,) = await self._commit((Change(name, decisions.take(ping, new)),))
        if isinstance(result, Exception):
            raise result
        recorded = self._result_of(ping, result, new)
        if result.duplicate_of:
            return await repeating(self.store, recorded)
        return recorded

    async def record_all(self, pings: Sequence[Ping]) -> list[ReportResult | Exception]:
        """Make *pings* durable in one transaction, and act on them.

        One that cannot be taken is answered with its exception and does not
        harm the others. Raises StorageError if nothing could be recorded.
        """
        new = self._registry.auto_registered(ping.job for ping in pings)
        results = await self._commit(
            [Change(ping.job, self.decisions.take(ping, new)) for ping in pings]
        )
        recorded = [
            result
            if isinstance(result, Exception)
            else self._result_of(ping, result, new)
            for ping, result in zip(pings, results, strict=True)
        ]
        return await all_repeating(self.store, recorded)

    async def sweep(self) -> int:
        """Notice what has become true by now; return how many jobs it concerned.

        Raises StorageError when that could not be recorded; the next sweep will
        notice it again.
        """
        self.downtimes.look()
        if self.downtimes.is_pending:
            return await self._plan_anew()
        now = self._clock.now()
        due = []
        for name in self._wakeups.take_due(now):
            if (known := self.known(name)) is None:
                continue
            when = wake_at(*known, self.settings)
            if when <= now or name in self._scheduled:
                due.append(name)
            else:
                self._wakeups.plan(name, when)
        self._scheduled.difference_update(due)
        wakes = [Change(name, self.decisions.wake(name, now)) for name in due]
        try:
            await self._apply_in_steps(wakes)
        except Exception:
            for name in due:
                self._schedule_now(name)
            raise
        return len(due)

    async def watch(self) -> None:
        """Notice steps of the clock, pauses, and the end of a time of refused commits."""
        downtimes = self.downtimes
        downtimes.look()
        if not downtimes.watch_storage(self.store.writing_for()):
            return
        # Deadlines that are exposed move on while nothing can be recorded.
        self._change_feed.note_all(self.names)
        if self.store.writing_for():
            return
        try:
            await self.store.probe()
        except StorageError as error:
            downtimes.refused(error)
        else:
            downtimes.accepted()

    async def check_storage(self) -> None:
        """Notice that files of the database were deleted or replaced."""
        try:
            await self.store.check()
        except StorageError as error:
            self._refused(error)

    async def _plan_anew(self) -> int:
        """Return the number of jobs that a downtime affected, after a look at each.

        Raises StorageError, and then the next sweep does it.
        """
        async with self.changing:
            wakeups, now = self._wakeups, self._clock.now()
            wakeups.clear()
            try:
                with self.downtimes.planning() as is_leapt:
                    wakes = await reload.plan_anew(
                        self.decisions, self.store, wakeups, now, recalls=is_leapt
                    )
                    for name in self._scheduled:
                        wakeups.plan(name, now)
                    await self._apply_in_steps(wakes)
            finally:
                self._change_feed.note_all(self.names)
        return len(wakes)

    async def _apply_in_steps(self, changes: Sequence[Change]) -> None:
        for at in range(0, len(changes), STEP):
            step = changes[at : at + STEP]
            self._back_off(step, await self.apply(step))

    def take_failed_jobs(self) -> dict[str, Exception]:
        """Return the judgements that raised since this was last asked, by job."""
        failed_jobs, self._failed_jobs = self._failed_jobs, {}
        return failed_jobs

    async def prune(self) -> int:
        """Forget what the configuration says not to keep; return how many runs."""
        # While the clock may be ahead, young runs may look old.
        now = self._clock.now() - self.downtimes.ahead()
        before = now - self.job_config.keep_for
        return await self.store.prune(before, self.job_config.keep_runs)

    async def apply(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        """Make decisions of `decisions` durable in one transaction, and act on them.

        One that cannot be made is answered with its exception. Raises StorageError
        if nothing could be recorded.
        """
        results = await self._commit(changes)
        for change, result in zip(changes, results, strict=True):
            self._follow_up(change, result)
        return results

    async def _commit(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        # A report right after a pause must not be judged as if nothing had happened.
        self.downtimes.look()
        try:
            results = await self.store.update_all(changes)
        except StorageError as error:
            self._refused(error)
            raise
        if self.downtimes.is_refusing:
            self.downtimes.accepted()
        return results

    def _refused(self, error: StorageError) -> None:
        if isinstance(error, UnreadableStorageError):
            # The store counts and logs it, and other reports are recorded.
            return
        self._refusals += 1
        was_refusing = self.downtimes.is_refusing
        self.downtimes.refused(error)
        if not was_refusing:
            self._change_feed.note_all(self.names)

    def _follow_up(self, change: Change, result: Transition | Exception) -> None:
        if isinstance(result, Exception):
            return
        self._note(change.job, result)
        if (known := self.known(change.job)) is not None:
            self._wakeups.plan(change.job, wake_at(*known, self.settings))
            if known[1].retired_at is not None:
                self._registry.dismiss(known[0])

    def _note(self, name: str, made: Transition) -> None:
        self._change_feed.note(name)
        registry, state = self._registry, made.state
        if (state.paused_at or registry.paused) and registry.note_pause(name, state):
            self._schedule_now(name)
        if made.alerts and any(e.key.condition in UNHEALTHY for e in made.alerts):
            for dependent in registry.downstream(name):
                self._schedule_now(dependent)

    def _back_off(
        self, changes: Sequence[Change], results: Sequence[Transition | Exception]
    ) -> None:
        """Leave the jobs alone for a while whose judgement raised."""
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, Exception) and self.job(change.job):
                self._failed_jobs[change.job] = result
                self._wakeups.plan(change.job, self._clock.now() + FAILED_JOB_PAUSE)

    def _schedule_now(self, name: str) -> None:
        self._scheduled.add(name)
        self._wakeups.plan(name, self._clock.now())

    def register(self, job: Job) -> Job | None:
        """Watch a job that has a state now; return it as it is watched."""
        state, registry = self.store.states[job.name], self._registry
        job_config = registry.job_config
        # What was true when it was decided may not be when it is committed.
        if job_config.unknown is None and not is_made_for_tests(job.name, state):
            return None
        described = job_config.nameless(job.name, state.said)
        registry.register(described)
        self._wakeups.plan(job.name, wake_at(described, state, self.settings))
        if described != job:
            self._schedule_now(job.name)
        return described

    def _result_of(
        self, ping: Ping, made: Transition, new: Mapping[str, Job]
    ) -> ReportResult:
        """Plan what follows from *ping*, and return what to answer."""
        name, due = ping.job, math.inf
        self._note(name, made)
        if (job := self.job(name)) is None and name in new:
            job = self.register(new[name])
        if job is not None:
            due, wake = outlook(job, made.state, self.settings)
            self._wakeups.plan(name, wake)
        return ReportResult(ping, made, made.run, due)
