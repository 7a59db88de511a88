"""The service that records pings and evaluates jobs as time passes."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
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
from afterrun_exporter.storage.store import Change, Store, update

#: The most jobs that are checked in one transaction, so that pings are not delayed.
STEP: Final = 200

#: Seconds before a job whose evaluation raised is checked again.
FAILED_JOB_PAUSE: Final = 3600.0


class Service(WatchedJobs):
    """The jobs, their states and all changes of them."""

    def __init__(self, store: Store, clock: Clock, job_config: JobConfig) -> None:
        registry = JobRegistry(job_config)
        self._wakeups = wakeups = WakeupQueue()
        settings = registry.job_config.settings
        decisions = Decisions(
            registry, settings, store.states, store.latest, wakeups.when, clock.now
        )
        super().__init__(store, clock, decisions)
        #: Steps of the clock, pauses of the process, and outages of the storage.
        self.downtimes = DowntimeMonitor(clock, self.decisions, wakeups)
        #: Held while the set of jobs or their settings change.
        self.changing = asyncio.Lock()
        #: Held while a report is made: its memory grows with the runs of its period.
        self.reporting = asyncio.Lock()
        self._recent_runs = RecentRuns()
        self._last_counted = 0
        #: Figures of the last 24 hours; None while no run is counted.
        self.recent_figures: RecentFigures | None = None
        #: Jobs to check before their planned time.
        self._scheduled: set[str] = set()
        #: The reach of the loaded history of each job.
        self._recalled: dict[str, float] = {}
        self._change_feed = ChangeFeed()
        self._failed_jobs: dict[str, Exception] = {}
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
        self.downtimes.begin(newest)
        await self.reconfigure(self.job_config)
        # All jobs count as changed at first.
        self._change_feed.note_all(self.names)
        self.downtimes.look(starting=True)

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
        try:
            with decisions.using(registry):
                recalled, past = await reload.recall(store, registry, previous, now)
                changes = [Change(name, decisions.retire(now)) for name in removed]
                changes += await reload.plan_changes(
                    decisions, store, self._wakeups, now, past
                )
                results = await self._commit(changes)
                async for change_and_result in cooperatively(
                    zip(changes, results, strict=True)
                ):
                    self._follow_up(*change_and_result)
            self._recalled = recalled
            self._back_off(changes, results)
        except BaseException:
            # Subscribers may have read the jobs before the rollback.
            self._change_feed.note_all(removed, registry.registered, job_config.jobs)
            raise
        # Severity, labels or rules may have changed without a change of state.
        self._change_feed.note_all(removed, await reload.changed_jobs(old, registry))

    def note_revision(self, revision: str) -> None:
        """Record runs with *revision* from now on; the configuration is the same."""
        self.job_config = replace(self.job_config, revision=revision)

    async def recalled(self, name: str) -> JobState | None:
        """Return the state of a monitored job with the keys of all its runs."""
        state = self.state(name)
        if state is None or is_whole(state, self.settings):
            return state
        return (await update(self.store, name, self.decisions.recall)).state

    def follow(self) -> Subscriber:
        """Return a subscriber of changed jobs, with all jobs pending."""
        return self._change_feed.add(job.name for job, _ in self.watched())

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

    async def record(self, ping: Ping) -> ReportResult:
        """Record *ping* durably, and act on it.

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
        """Record *pings* durably in one transaction, and act on them.

        The result of a refused ping is its exception; the others are recorded. Raises
        StorageError if nothing could be recorded.
        """
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
        if self.downtimes.is_pending:
            return await self._check_all()
        now = self._clock.now()
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
        wakes = [Change(name, self.decisions.wake(name, now)) for name in due]
        try:
            await self._apply_in_steps(wakes)
        except Exception:
            for name in due:
                self._schedule_now(name)
            raise
        return len(due)

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
        """Return the errors of evaluations since the last call, by job."""
        failed_jobs, self._failed_jobs = self._failed_jobs, {}
        return failed_jobs

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

    def _follow_up(self, change: Change, result: Transition | Exception) -> None:
        if isinstance(result, Exception):
            return
        self._note(change.job, result)
        if (entry := self.job_and_state(change.job)) is not None:
            self._wakeups.plan(change.job, wake_at(*entry, self.settings))
            if entry[1].retired_at is not None:
                self._registry.dismiss(entry[0])

    def _note(self, name: str, transition: Transition) -> None:
        self._change_feed.note(name)
        registry, state = self._registry, transition.state
        if (state.paused_at or registry.paused) and registry.note_pause(name, state):
            self._schedule_now(name)
        if transition.alerts and any(
            e.key.condition in UNHEALTHY for e in transition.alerts
        ):
            for dependent in registry.downstream(name):
                self._schedule_now(dependent)

    def _back_off(
        self, changes: Sequence[Change], results: Sequence[Transition | Exception]
    ) -> None:
        """Postpone the next check of jobs whose evaluation raised."""
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, Exception) and self.job(change.job):
                self._failed_jobs[change.job] = result
                self._wakeups.plan(change.job, self._clock.now() + FAILED_JOB_PAUSE)

    def _schedule_now(self, name: str) -> None:
        self._scheduled.add(name)
        self._wakeups.plan(name, self._clock.now())

    def register(self, job: Job) -> Job | None:
        """Add a job that has a state to the registry; return it as registered."""
        state, registry = self.store.states[job.name], self._registry
        job_config = registry.job_config
        # The conditions may have changed between decision and commit.
        if job_config.unknown is None and not is_made_for_tests(job.name, state):
            return None
        described = job_config.nameless(job.name, state.client_settings)
        registry.register(described)
        self._wakeups.plan(job.name, wake_at(described, state, self.settings))
        if described != job:
            self._schedule_now(job.name)
        return described

    def _result_of(
        self, ping: Ping, transition: Transition, new: Mapping[str, Job]
    ) -> ReportResult:
        """Plan the next check after *ping*, and return its result."""
        name, due = ping.job, math.inf
        self._note(name, transition)
        if (job := self.job(name)) is None and name in new:
            job = self.register(new[name])
        if job is not None:
            due, wake = outlook(job, transition.state, self.settings)
            self._wakeups.plan(name, wake)
        return ReportResult(ping, transition, transition.run, due)
