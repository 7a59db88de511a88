"""The follow-up of changed jobs, whether this replica changed them or another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from afterrun_exporter.clock import Clock
from afterrun_exporter.core import history
from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import AlertKey, JobState, Transition
from afterrun_exporter.core.upstream import UNHEALTHY
from afterrun_exporter.core.windows import NO_HISTORY
from afterrun_exporter.engine.change_feed import ChangeFeed, Subscriber
from afterrun_exporter.engine.decisions import Decisions
from afterrun_exporter.engine.job_registry import (
    JobRegistry,
    is_made_for_tests,
    leaves,
)
from afterrun_exporter.engine.wakeup_queue import WakeupQueue
from afterrun_exporter.engine.watched_jobs import WatchedJobs
from afterrun_exporter.storage.replicas import ChangedJobs
from afterrun_exporter.storage.store import Change, Store

#: Seconds before a job whose evaluation raised is checked again.
FAILED_JOB_PAUSE: Final = 3600.0


def _nothing() -> None:
    """Do nothing."""


class TrackedJobs(WatchedJobs):
    """The watched jobs, with the time of the next check of each one.

    Every change of a job, by this or another replica, has the same consequences: the
    next check is planned, subscribers are notified, and dependents are checked.
    """

    def __init__(self, store: Store, clock: Clock, job_config: JobConfig) -> None:
        registry = JobRegistry(job_config)
        self._wakeups = wakeups = WakeupQueue()
        settings = job_config.settings
        decisions = Decisions(
            registry, settings, store.states, store.latest, wakeups.when, clock.now
        )
        super().__init__(store, clock, decisions)
        #: Jobs to check before their planned time.
        self._scheduled: set[str] = set()
        self._change_feed = ChangeFeed()
        self._failed_jobs: dict[str, Exception] = {}
        #: True if this replica led at the last sweep. When it leads again, it checks all
        #: jobs.
        self._led = not store.replicas.is_shared
        #: Called when another replica has changed receivers, or pushed metrics.
        self.receivers_changed: Callable[[], None] = _nothing
        self.pushed_changed: Callable[[], None] = _nothing

    @property
    def leads(self) -> bool:
        """True while this replica does the work of the whole service."""
        replicas = self.store.replicas
        return replicas.is_leader and not replicas.outdated()

    def outdated(self) -> str:
        """Return the reason why the states may be out of date; "" if they are not."""
        return self.store.replicas.outdated()

    @property
    def agrees(self) -> bool:
        """True while all replicas have the same configuration."""
        return self.store.replicas.agree()

    @property
    def secret(self) -> bytes:
        """A random key that all replicas have."""
        return self.store.replicas.secret

    async def catch_up(self) -> None:
        """Apply the changes that other replicas have committed before this call."""
        replicas = self.store.replicas
        if replicas.is_shared and not replicas.outdated():
            await replicas.catch_up()

    def _own(
        self, wakes: Sequence[Change], past: Mapping[str, bytes], now: float
    ) -> Sequence[Change]:
        """Return the changes among *wakes* that this replica must make.

        The leader makes all of them. The others register new jobs, and add the histories
        in *past*, which are only in memory.
        """
        if self._led:
            return wakes
        own: list[Change] = []
        for wake in wakes:
            if (name := wake.job) not in self.store.states:
                own.append(wake)
            elif name in past:
                own.append(Change(name, self.decisions.remember(name, now, past[name])))
            self._wakeups.plan(name, now)
        return own

    def follow(self) -> Subscriber:
        """Return a subscriber of changed jobs, with all jobs pending."""
        return self._change_feed.add(job.name for job, _ in self.watched())

    def last_run_known(self, job: str) -> int | None:
        """See `Follower.last_run_known`."""
        if (state := self.store.states.get(job)) is None:
            # It is being registered, and its settings are unknown.
            return 0
        described = self.described(job) or self.job_config.nameless(job)
        return state.recorded if history.kept_for(described) else None

    def completed(self, job: str, state: JobState, runs: bytes) -> JobState:
        """See `Follower.completed`."""
        described = self.described(job)
        if described is None:
            described = self.job_config.nameless(job, state.client_settings)
        before = self.store.states.get(job)
        earlier = NO_HISTORY if before is None else before.history
        now = self._clock.now()
        return history.adopted(described, state, earlier, runs, now, self.settings)

    def jobs_changed(self, changed: ChangedJobs) -> None:
        """See `Follower.jobs_changed`."""
        for name, before in changed.items():
            try:
                self._changed_elsewhere(name, before)
            except Exception as error:  # noqa: BLE001 - it is logged, and others go on
                self._set_aside(name, error)

    def take_failed_jobs(self) -> dict[str, Exception]:
        """Return the errors of evaluations since the last call, by job."""
        failed_jobs, self._failed_jobs = self._failed_jobs, {}
        return failed_jobs

    def _changed_elsewhere(self, name: str, before: JobState | None) -> None:
        if (state := self.store.states.get(name)) is None:
            # A server that was replaced may have lost it.
            self._change_feed.note(name)
            if (job := self._registry.described(name)) is not None:
                self._registry.dismiss(job)
            return
        self._note(name, state, spreads=_unhealthy(before) != _unhealthy(state))
        if self._is_registered_elsewhere(name, before, state):
            self.register(self.job_config.nameless(name, state.client_settings))
        self._plan(name)

    def _is_registered_elsewhere(
        self, name: str, before: JobState | None, state: JobState
    ) -> bool:
        """Return True if another replica has registered or described the job *name*."""
        registry = self._registry
        if name in registry.job_config.jobs or state.retired_at is not None:
            return False
        if name in registry.registered:
            return before is None or before.client_settings != state.client_settings
        return not leaves(name, state, registry.job_config)

    def _follow_up(self, change: Change, result: Transition | Exception) -> None:
        if isinstance(result, Exception):
            return
        self._note_transition(change.job, result)
        self._plan(change.job)

    def _note_transition(self, name: str, transition: Transition) -> None:
        spreads = any(e.key.condition in UNHEALTHY for e in transition.alerts)
        self._note(name, transition.state, spreads=spreads)

    def _note(self, name: str, state: JobState, *, spreads: bool) -> None:
        """Act on a change of a job; it *spreads* if dependents must be checked."""
        self._change_feed.note(name)
        registry = self._registry
        if (state.paused_at or registry.paused) and registry.note_pause(name, state):
            self._schedule_now(name)
        if spreads:
            for dependent in registry.downstream(name):
                self._schedule_now(dependent)

    def _plan(self, name: str) -> None:
        if (entry := self.job_and_state(name)) is not None:
            self._wakeups.plan(name, wake_at(*entry, self.settings))
            if entry[1].retired_at is not None:
                self._registry.dismiss(entry[0])

    def _set_aside(self, name: str, error: Exception) -> None:
        """Postpone the next check of a job whose evaluation raised *error*."""
        self._failed_jobs[name] = error
        self._wakeups.plan(name, self._clock.now() + FAILED_JOB_PAUSE)

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


def _unhealthy(state: JobState | None) -> set[AlertKey]:
    alerts = () if state is None else state.alerts
    return {one.key for one in alerts if one.key.condition in UNHEALTHY}
