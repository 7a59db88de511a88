"""The service that records pings and evaluates jobs as time passes."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.daily_figures import DAY
from afterrun_exporter.core.deadlines import outlook, wake_at
from afterrun_exporter.core.duplicates import is_whole
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job, Ping
from afterrun_exporter.core.recent_runs import RecentFigures, RecentRuns
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.engine import reload
from afterrun_exporter.engine.downtimes import DowntimeMonitor
from afterrun_exporter.engine.results import ReportResult, all_repeating, repeating
from afterrun_exporter.engine.tracked_jobs import TrackedJobs
from afterrun_exporter.errors import StorageError, UnreadableStorageError
from afterrun_exporter.storage.replicas import Downtime
from afterrun_exporter.storage.store import Change, Store, update

#: The most jobs that are checked in one transaction, so that pings are not delayed.
STEP: Final = 200


class Service(TrackedJobs):
    """The jobs, their states and all changes of them."""

    def __init__(self, store: Store, clock: Clock, job_config: JobConfig) -> None:
        super().__init__(store, clock, job_config)
        #: Steps of the clock, pauses of the process, and outages of the storage.
        self.downtimes = DowntimeMonitor(
            clock, self.decisions, self._wakeups, is_shared=store.replicas.is_shared
        )
        #: Removed jobs that are retired once all replicas agree about it.
        self._leaving: set[str] = set()
        #: Held while the set of jobs or their settings change.
        self.changing = asyncio.Lock()
        #: Held while a report is made: its memory grows with the runs of its period.
        self.reporting = asyncio.Lock()
        self._recent_runs = RecentRuns()
        self._last_counted = 0
        #: Figures of the last 24 hours; None while no run is counted.
        self.recent_figures: RecentFigures | None = None
        #: The reach of the loaded history of each job.
        self._recalled: dict[str, float] = {}
        #: Pings by (dialect, result), for the exporter's own metrics.
        self.pings: Counter[tuple[str, str]] = Counter()
        #: Dropped metric values by reason.
        self.dropped: Counter[str] = Counter()
        #: Failed transactions and failed checks of the database.
        self._refusals = 0

    async def start(self) -> None:
        """Register every configured job, and retire removed ones."""
        states = self.store.states.values()
        newest = max((state.last_ping_at for state in states), default=math.inf)
        replicas = self.store.replicas
        replicas.follow(self)
        self.downtimes.begin(newest, replicas.last_downtime)
        self._led = self.leads
        await self.reconfigure(self.job_config)
        # All jobs count as changed at first.
        self._change_feed.note_all(self.names)
        self.downtimes.look(starting=True)

    def down(self, downtime: Downtime) -> None:
        """See `Follower.down`."""
        self.downtimes.down(downtime)
        self._change_feed.note_all(self.names)

    async def reconfigure(self, job_config: JobConfig) -> None:
        """Use *job_config* from now on, and retire removed jobs.

        Raises StorageError, and then keeps the old configuration.
        """
        async with self.changing:
            await self._reconfigure(job_config)

    async def _reconfigure(self, job_config: JobConfig) -> None:
        decisions, store = self.decisions, self.store
        old = decisions.job_registry
        registry, removed = await reload.build_registry(job_config, store.states, old)
        # If this fails, histories may have been cut to windows of the new configuration.
        previous, self._recalled = self._recalled, {}
        now = self._clock.now()
        # Before it is used: the leader must not retire jobs that this replica has.
        store.replicas.announce(job_config.digest)
        decisions.agrees = self.agrees
        try:
            with decisions.using(registry):
                recalled, past = await reload.recall(store, registry, previous, now)
                wakes = await reload.plan_changes(
                    decisions, store, self._wakeups, now, past
                )
                changes = [*self._retiring(removed, now), *self._own(wakes, past, now)]
                results = await self._commit(changes)
                async for change_and_result in cooperatively(
                    zip(changes, results, strict=True)
                ):
                    self._follow_up(*change_and_result)
            self._recalled = recalled
            self._leaving = set(removed).difference(change.job for change in changes)
            self._back_off(changes, results)
        except BaseException:
            store.replicas.announce(old.job_config.digest)
            decisions.agrees = self.agrees
            # Subscribers may have read the jobs before the rollback.
            self._change_feed.note_all(removed, registry.registered, job_config.jobs)
            raise
        # Severity, labels or rules may have changed without a change of state.
        self._change_feed.note_all(removed, await reload.changed_jobs(old, registry))

    def _retiring(self, removed: Collection[str], now: float) -> list[Change]:
        """Return the changes that retire *removed* jobs; none if a replica may have them."""
        if not (self.leads and self.agrees):
            return []
        return [Change(name, self.decisions.retire(now)) for name in removed]

    async def retire_removed(self) -> int:
        """Retire jobs that all replicas have removed meanwhile; return their number.

        Raises StorageError.
        """
        async with self.changing:
            states = self.store.states
            self._leaving = {
                name
                for name in self._leaving
                if (state := states.get(name)) is not None
                and state.retired_at is None
                and self.described(name) is None
            }
            changes = self._retiring(self._leaving, self._clock.now())
            await self._apply_in_steps(changes)
        return len(changes)

    def note_revision(self, revision: str) -> None:
        """Record runs with *revision* from now on; the configuration is the same."""
        self.job_config = replace(self.job_config, revision=revision)

    async def recalled(self, name: str) -> JobState | None:
        """Return the state of a monitored job with the keys of all its runs."""
        state = self.state(name)
        if state is None or is_whole(state, self.settings):
            return state
        return (await update(self.store, name, self.decisions.recall)).state

    @property
    def clock_steps(self) -> int:
        """The number of detected steps of the wall clock."""
        return self.downtimes.steps

    @property
    def pauses(self) -> int:
        """The number of detected pauses of the process."""
        return self.downtimes.pauses

    @property
    def storage_errors(self) -> int:
        """The number of failed transactions, reads and checks of the files."""
        return self._refusals + self.store.failures()

    async def _prepare(self, pings: Sequence[Ping]) -> None:
        """Learn from other replicas about jobs of *pings* that are unknown here.

        Raises StorageError if what is known may be out of date.
        """
        if reason := self.outdated():
            raise StorageError(reason)
        if any(self.job(ping.job) is None for ping in pings):
            await self.catch_up()

    async def record(self, ping: Ping) -> ReportResult:
        """Record *ping* durably, and act on it.

        Raises UnknownJobError, or StorageError if nothing could be recorded.
        """
        name, decisions = ping.job, self.decisions
        await self._prepare((ping,))
        new = {} if self.job(name) else self._registry.auto_registered((name,))
        (result,) = await self._commit((Change(name, decisions.take(ping, new)),))
        if isinstance(result, Exception):
            raise result
        recorded = self._result_of(ping, result, new)
        if result.duplicate_of:
            return await repeating(self.store, recorded)
        return recorded

    async def record_all(self, pings: Sequence[Ping]) -> list[ReportResult | Exception]:
        """Record *pings* durably in one transaction, and act on them.

        The result of a refused ping is its exception; the others are recorded. Raises
        StorageError if nothing could be recorded.
        """
        await self._prepare(pings)
        new = self._registry.auto_registered(ping.job for ping in pings)
        results = await self._commit(
            [Change(ping.job, self.decisions.take(ping, new)) for ping in pings]
        )
        both = cooperatively(zip(pings, results, strict=True))
        recorded = [
            result
            if isinstance(result, Exception)
            else self._result_of(ping, result, new)
            async for ping, result in both
        ]
        return await all_repeating(self.store, recorded)

    async def sweep(self) -> int:
        """Check the jobs that are due; return their number.

        Raises StorageError if the results could not be recorded; the next sweep repeats
        the checks.
        """
        self.downtimes.look()
        self._look_at_replicas()
        if self.downtimes.is_pending:
            return await self._check_all()
        now = self._clock.now()
        due = self._due(now)
        if not self._led:
            # They are planned again when the leader has changed them. A replica that
            # becomes the leader checks all jobs.
            return 0
        wakes = [Change(name, self.decisions.wake(name, now)) for name in due]
        try:
            await self._apply_in_steps(wakes)
        except Exception:
            for name in due:
                self._schedule_now(name)
            raise
        return len(due)

    def _due(self, now: float) -> list[str]:
        """Remove and return the jobs to check now; plan those again that are early."""
        due = []
        for name in self._wakeups.take_due(now):
            if (entry := self.job_and_state(name)) is None:
                continue
            when = wake_at(*entry, self.settings)
            if when <= now or name in self._scheduled:
                due.append(name)
            else:
                self._wakeups.plan(name, when)
        self._scheduled.difference_update(due)
        return due

    def _look_at_replicas(self) -> None:
        leads, agrees = self.leads, self.agrees
        if (leads and not self._led) or agrees is not self.decisions.agrees:
            # The leader before may have left work undone; and while configurations
            # differ, jobs have other schedules.
            self.downtimes.is_pending = True
        self._led, self.decisions.agrees = leads, agrees

    async def watch(self) -> None:
        """Detect steps of the clock, pauses, and the end of a storage outage."""
        downtimes = self.downtimes
        downtimes.look()
        if not downtimes.watch_storage(self.store.writing_for()):
            return
        # Exposed deadlines move while nothing can be recorded.
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
        """Detect deleted or replaced database files."""
        try:
            await self.store.check()
        except StorageError as error:
            self._refused(error)

    async def _check_all(self) -> int:
        """Check all jobs after a downtime; return the number of affected ones.

        Raises StorageError, and then the next sweep repeats it.
        """
        async with self.changing:
            wakeups, now = self._wakeups, self._clock.now()
            wakeups.clear()
            try:
                with self.downtimes.planning() as is_leapt:
                    wakes, past = await reload.plan_anew(
                        self.decisions, self.store, wakeups, now, recalls=is_leapt
                    )
                    for name in self._scheduled:
                        wakeups.plan(name, now)
                    await self._apply_in_steps(self._own(wakes, past, now))
            finally:
                self._change_feed.note_all(self.names)
        return len(wakes)

    async def _apply_in_steps(self, changes: Sequence[Change]) -> None:
        for at in range(0, len(changes), STEP):
            step = changes[at : at + STEP]
            self._back_off(step, await self.apply(step))

    async def count_recent_runs(self) -> None:
        """Add the runs since the last call to the figures of the last 24 hours.

        Raises StorageError.
        """
        now, recent = self._clock.now(), self._recent_runs
        while True:
            after = self._last_counted
            last, runs = await self.store.finished_runs(after, now - DAY)
            async for run in cooperatively(runs):
                recent.add(run, now)
            self._last_counted = last
            if last == after:
                break
        # A run that has just ended is not counted yet, so zero may be wrong.
        figures = recent.figures(now)
        self.recent_figures = figures if figures.runs else None

    async def prune(self) -> int:
        """Delete runs beyond the configured retention; return their number."""
        if not self.leads:
            return 0
        # If the clock may be ahead, recent runs may look old.
        now = self._clock.now() - self.downtimes.ahead()
        config = self.job_config
        before = now - config.keep_for
        return await self.store.prune(
            before, config.keep_runs, now - config.keep_reports
        )

    async def apply(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        """Apply changes durably in one transaction, and act on them.

        The result of a failed change is its exception. Raises StorageError if nothing
        could be recorded.
        """
        results = await self._commit(changes)
        for change, result in zip(changes, results, strict=True):
            self._follow_up(change, result)
        return results

    async def _commit(self, changes: Sequence[Change]) -> list[Transition | Exception]:
        # A report right after a pause must be evaluated with regard to the pause.
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

    def _back_off(
        self, changes: Sequence[Change], results: Sequence[Transition | Exception]
    ) -> None:
        """Postpone the next check of jobs whose evaluation raised."""
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, Exception) and self.job(change.job):
                self._set_aside(change.job, result)

    def _result_of(
        self, ping: Ping, transition: Transition, new: Mapping[str, Job]
    ) -> ReportResult:
        """Plan the next check after *ping*, and return its result."""
        name, due = ping.job, math.inf
        self._note_transition(name, transition)
        if (job := self.job(name)) is None and name in new:
            job = self.register(new[name])
        if job is not None:
            job = self.decisions.standing(job, transition.state)
            due, wake = outlook(job, transition.state, self.settings)
            self._wakeups.plan(name, wake)
        return ReportResult(ping, transition, transition.run, due)
