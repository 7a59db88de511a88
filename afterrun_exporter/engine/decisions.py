"""Decisions about jobs, made at the time of each write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from afterrun_exporter.core import pauses
from afterrun_exporter.core.deadlines import is_unchanged, schedule_text
from afterrun_exporter.core.duplicates import OlderRunsNeededError, is_whole
from afterrun_exporter.core.history import with_ratio
from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.receiver_checks import on_test
from afterrun_exporter.core.state import USABLE, JobState, Transition, Unusable
from afterrun_exporter.core.transitions import (
    on_clock,
    on_ping,
    on_retired,
    registered,
    with_history,
)
from afterrun_exporter.core.upstream import Required
from afterrun_exporter.engine.job_registry import (
    JobRegistry,
    is_made_for_tests,
    is_spent,
)
from afterrun_exporter.errors import JobChangedError, UnknownJobError
from afterrun_exporter.storage.store import Decide


class Decisions:
    """Makes the decisions that the store applies.

    Each decision uses the registry and the settings of the moment at which it is made.
    """

    def __init__(
        self,
        job_registry: JobRegistry,
        settings: Settings,
        states: Mapping[str, JobState],
        latest: Callable[[str], JobState | None],
        next_wake: Callable[[str], float],
        now: Callable[[], float],
    ) -> None:
        self.job_registry = job_registry
        #: Settings that apply to every decision.
        self.settings = settings
        #: Committed states, and the latest state, which may be uncommitted.
        self._states = states
        self._latest = latest
        #: Returns the time of the next check of a job, or an earlier one.
        self._next_wake = next_wake
        self._now = now
        #: True while jobs may not have been checked since the registry changed.
        self.in_change = False
        #: True if the clock was set back, so that earlier reports may be decided
        #: only now.
        self.is_set_back = False
        #: False while other replicas may have another configuration.
        self.agrees = True

    def standing(self, job: Job, state: JobState) -> Job:
        """Return *job* as it is judged now.

        While configurations of replicas differ, a job keeps the schedule of its state:
        otherwise each report would give it the one of the replica that receives it.
        """
        if (
            self.agrees
            or state.paused_at
            or state.retired_at is not None
            or state.schedule == schedule_text(job)
        ):
            return job
        return replace(job, foreign_schedule=state.schedule)

    @contextmanager
    def using(self, job_registry: JobRegistry) -> Iterator[None]:
        """Use *job_registry* from now on; restore the previous one on an error."""
        before = self.job_registry
        job_registry.keep_pauses(self.job_registry, self._states)
        self._use(job_registry)
        self.in_change = True
        try:
            yield
        except BaseException:
            self._use(before)
            self.job_registry.keep(job_registry, self._states)
            raise
        finally:
            self.in_change = False

    def _use(self, job_registry: JobRegistry) -> None:
        self.job_registry = job_registry
        self.settings = replace(
            job_registry.job_config.settings,
            down_since=self.settings.down_since,
            up_since=self.settings.up_since,
            settled_at=self.settings.settled_at,
        )

    def take(self, ping: Ping, auto_registered: Mapping[str, Job]) -> Decide:
        """Return the decision on *ping*, which may register one of *auto_registered*."""

        def decide(state: JobState | None) -> Transition:
            job = self.job_registry.described(ping.job) or auto_registered.get(ping.job)
            if job is None:
                raise UnknownJobError(self.job_registry.job_config.refusal(ping.job))
            report = ping
            if self.is_set_back or (state and state.last_ping_at > ping.at):
                report = replace(ping, at=self._at(ping.at, state))
            current = state or registered(job, report.at)
            job = self.standing(job, current)
            if current.paused_at:
                if pauses.is_ended_by(current, report):
                    transition = self._resuming(current, report)
                    if not transition.duplicate:
                        return self._with_commit(transition)
                job = pauses.paused_job(job)
            quiet = (
                not self.in_change
                # The wakeup was planned for the committed state.
                and self._states.get(ping.job) is current
                and is_unchanged(job, current, report.at, self._next_wake(ping.job))
            )
            required = self._required(job)
            return self._with_commit(
                on_ping(job, current, report, self.settings, required, quiet=quiet)
            )

        return decide

    def wake(self, name: str, now: float, past: bytes | None = None) -> Decide:
        """Return the decision on the passage of time; *past* is a history to add first."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            if (job := self.job_registry.described(name)) is None:
                raise UnknownJobError(f"job {name!r} has left the configuration")
            current = state or registered(job, at)
            job = self.standing(job, current)
            if past is not None:
                current = with_history(job, current, past, at, self.settings)
            decided = on_clock
            if pauses.is_over(current, at):
                decided = pauses.on_resume
            elif current.paused_at:
                job = pauses.paused_job(job)
            transition = decided(job, current, at, self.settings, self._required(job))
            if is_made_for_tests(name, transition.state) and is_spent(transition.state):
                retired = on_retired(transition.state, at)
                return Transition(state=retired.state, alerts=transition.alerts)
            return self._with_commit(transition)

        return decide

    def remember(self, name: str, now: float, past: bytes) -> Decide:
        """Return the decision that adds the history *past*, and judges nothing."""

        def change(job: Job, state: JobState, at: float) -> Transition:
            state = with_history(job, state, past, at, self.settings)
            return Transition(state=with_ratio(job, state, at))

        return self._change(name, now, change)

    def test(self, job: Job, now: float, seconds: float, severity: str) -> Decide:
        """Return the decision that opens a test alert of *job*."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            current = state or registered(job, at)
            # It may have been paused or resumed since that was requested.
            standing = self.job_registry.described(job.name) or job
            standing = self.standing(standing, current)
            if current.paused_at:
                standing = pauses.paused_job(standing)
            required = self._required(job)
            return on_test(
                standing, current, at, seconds, severity, self.settings, required
            )

        return decide

    def pause(
        self,
        name: str,
        now: float,
        until: float | None,
        *,
        lasts: float,
        resumes_on_ping: bool,
    ) -> Decide:
        """Return the decision that pauses a job from *now* on."""
        return self._change(
            name,
            now,
            lambda job, state, at: pauses.on_pause(
                job,
                state,
                at,
                self.settings,
                self._required(job),
                until=until,
                lasts=lasts,
                resumes_on_ping=resumes_on_ping,
            ),
        )

    def resume(self, name: str, now: float) -> Decide:
        """Return the decision that resumes a paused job."""
        return self._change(name, now, self._resume)

    def describe(
        self, job: Job, description: str, now: float, unusable: Unusable = USABLE
    ) -> Decide:
        """Return the decision that stores the *description* of *job*.

        It raises JobChangedError if another replica has described the job meanwhile.
        """
        before = _described(self._states.get(job.name))

        def decide(state: JobState | None) -> Transition:
            if _described(state) not in {before, description}:
                raise JobChangedError(
                    f"job {job.name!r} was described by another request at the same "
                    "time: send it again"
                )
            at = self._at(now, state)
            current = replace(
                state or registered(job, at),
                client_settings=description,
                unusable=unusable.why,
                lacks_schedule=unusable.schedule,
            )
            return self._updated(job, current, at)

        return decide

    def recall(self, state: JobState | None) -> Transition:
        """Change nothing, but require the keys of all runs in *state*."""
        if state is None or not is_whole(state, self.settings):
            raise OlderRunsNeededError
        return Transition(state=state)

    def announce(self, name: str, now: float, *, successes: bool) -> Decide:
        """Return the decision that turns announcements of successful runs on or off."""

        def change(job: Job, state: JobState, at: float) -> Transition:
            until = state.success_until if successes else 0.0
            state = replace(state, announces_success=successes, success_until=until)
            return self._updated(job, state, at)

        return self._change(name, now, change)

    def retire(self, now: float) -> Decide:
        """Return the decision that retires a job."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            # Only jobs with a state are retired.
            return on_retired(state or JobState(created_at=at, due_after=at), at)

        return decide

    def _change(
        self,
        name: str,
        now: float,
        change: Callable[[Job, JobState, float], Transition],
    ) -> Decide:
        """Return the decision to *change* a monitored job that was requested at *now*."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            return self._with_commit(change(*self._watched(name, state, at), at))

        return decide

    def _with_commit(self, transition: Transition) -> Transition:
        """Return *transition*; its runs have the commit of the configuration."""
        commit = self.job_registry.job_config.revision
        if not commit or not transition.runs:
            return transition
        runs = tuple(replace(run, config_commit=commit) for run in transition.runs)
        both = zip(transition.runs, runs, strict=True)
        run = next((new for old, new in both if old is transition.run), transition.run)
        return replace(transition, runs=runs, run=run)

    def _resume(self, job: Job, state: JobState, at: float) -> Transition:
        return pauses.on_resume(job, state, at, self.settings, self._required(job))

    def _at(self, at: float, state: JobState | None) -> float:
        """Return the effective time of a change that was requested at *at*.

        It is not earlier than a report that was decided before, and not later than a
        clock that was set back.
        """
        if self.is_set_back:
            at = min(at, self._now())
        if state is not None and at < state.last_ping_at:
            at = max(at, min(state.last_ping_at, self._now()))
        return at

    def _resuming(self, state: JobState, ping: Ping) -> Transition:
        """Return the transition of a paused job that *ping* resumes."""
        job, current = self._watched(ping.job, state, ping.at)
        resumed, required = self._resume(job, current, ping.at), self._required(job)
        transition = on_ping(job, resumed.state, ping, self.settings, required)
        return transition.after(resumed)

    def _updated(self, job: Job, state: JobState, at: float) -> Transition:
        """Return the transition of *job*, which may be paused, by the time *at*."""
        standing = pauses.paused_job(job) if state.paused_at else job
        return on_clock(standing, state, at, self.settings, self._required(job))

    def _watched(
        self, name: str, state: JobState | None, now: float
    ) -> tuple[Job, JobState]:
        if (job := self.job_registry.described(name)) is None:
            raise UnknownJobError(self.job_registry.job_config.unknown_job(name))
        current = state or registered(job, now)
        return self.standing(job, current), current

    def _required(self, job: Job) -> tuple[Required, ...]:
        return self.job_registry.requirements(job, self._latest)


def _described(state: JobState | None) -> str:
    return "" if state is None else state.client_settings
