"""What is to become of a job, decided when its turn to be written has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from msgspec.structs import replace

from afterrun_exporter.core import pauses
from afterrun_exporter.core.deadlines import is_unchanged
from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.repeats import OlderRunsNeededError, is_whole
from afterrun_exporter.core.state import USABLE, JobState, Transition, Unusable
from afterrun_exporter.core.test_alerts import on_test
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
from afterrun_exporter.errors import UnknownJobError
from afterrun_exporter.storage.store import Decide


class Decisions:
    """Makes the decisions that the store carries out.

    Each goes by the roster and the settings of the moment it is taken at.
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
        #: What every judgement depends on.
        self.settings = settings
        #: Committed ones, and the one that a change finds.
        self._states = states
        self._latest = latest
        #: Answers when a job wants to be looked at next, or somewhat earlier.
        self._next_wake = next_wake
        self._now = now
        #: Whether jobs may not have been looked at since their roster changed.
        self.in_change = False
        #: Whether the clock has been set back: what was received before may be decided
        #: only now.
        self.is_set_back = False

    @contextmanager
    def using(self, job_registry: JobRegistry) -> Iterator[None]:
        """Decide by *roster* from now on, and by the one before where that fails."""
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
        """Return what *ping* does; it may be the first of one of *strangers*."""

        def decide(state: JobState | None) -> Transition:
            job = self.job_registry.described(ping.job) or auto_registered.get(ping.job)
            if job is None:
                raise UnknownJobError(self.job_registry.job_config.refusal(ping.job))
            report = ping
            if self.is_set_back or (state and state.last_ping_at > ping.at):
                report = replace(ping, at=self._at(ping.at, state))
            known = state or registered(job, report.at)
            if known.paused_at:
                if pauses.is_ended_by(known, report):
                    made = self._resuming(known, report)
                    if not made.duplicate:
                        return made
                job = pauses.paused_job(job)
            quiet = (
                not self.in_change
                # What is planned goes by what is committed.
                and self._states.get(ping.job) is known
                and is_unchanged(job, known, report.at, self._next_wake(ping.job))
            )
            required = self._required(job)
            return on_ping(job, known, report, self.settings, required, quiet=quiet)

        return decide

    def wake(self, name: str, now: float, past: bytes | None = None) -> Decide:
        """Return what time does; *past* is a stored history to take in first."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            if (job := self.job_registry.described(name)) is None:
                raise UnknownJobError(f"job {name!r} has left the configuration")
            known = state or registered(job, at)
            if past is not None:
                known = with_history(job, known, past, at, self.settings)
            decided = on_clock
            if pauses.is_over(known, at):
                decided = pauses.on_resume
            elif known.paused_at:
                job = pauses.paused_job(job)
            made = decided(job, known, at, self.settings, self._required(job))
            if is_made_for_tests(name, made.state) and is_spent(made.state):
                gone = on_retired(made.state, at)
                return Transition(state=gone.state, alerts=made.alerts)
            return made

        return decide

    def test(self, job: Job, now: float, seconds: float, severity: str) -> Decide:
        """Return how a test alert of *job* is opened."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            known = state or registered(job, at)
            # It may have been paused or resumed since that was requested.
            standing = self.job_registry.described(job.name) or job
            if known.paused_at:
                standing = pauses.paused_job(standing)
            required = self._required(job)
            return on_test(
                standing, known, at, seconds, severity, self.settings, required
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
        """Return how nothing is expected of a job from *now* on."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            job, known = self._watched(name, state, at)
            return pauses.on_pause(
                job,
                known,
                at,
                self.settings,
                self._required(job),
                until=until,
                lasts=lasts,
                resumes_on_ping=resumes_on_ping,
            )

        return decide

    def resume(self, name: str, now: float) -> Decide:
        """Return how a job is watched again that was paused."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            job, known = self._watched(name, state, at)
            required = self._required(job)
            return pauses.on_resume(job, known, at, self.settings, required)

        return decide

    def describe(
        self, job: Job, said: str, now: float, unusable: Unusable = USABLE
    ) -> Decide:
        """Return how *job* becomes what is *said* of it, but for what is *unusable*."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            known = replace(
                state or registered(job, at),
                said=said,
                unusable=unusable.why,
                lacks_schedule=unusable.schedule,
            )
            standing = pauses.paused_job(job) if known.paused_at else job
            required = self._required(job)
            return on_clock(standing, known, at, self.settings, required)

        return decide

    def recall(self, state: JobState | None) -> Transition:
        """Change nothing; see to it that the keys of all runs are in *state*."""
        if state is None or not is_whole(state, self.settings):
            raise OlderRunsNeededError
        return Transition(state=state)

    def announce(self, name: str, now: float, *, successes: bool) -> Decide:
        """Return how a job announces its ok runs from *now* on, or does so no more."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            job, known = self._watched(name, state, at)
            until = known.success_until if successes else 0.0
            known = replace(known, announces_success=successes, success_until=until)
            standing = pauses.paused_job(job) if known.paused_at else job
            required = self._required(job)
            return on_clock(standing, known, at, self.settings, required)

        return decide

    def retire(self, now: float) -> Decide:
        """Return how a job stops being watched."""

        def decide(state: JobState | None) -> Transition:
            at = self._at(now, state)
            # Only jobs with a state are ever retired.
            return on_retired(state or JobState(created_at=at, due_after=at), at)

        return decide

    def _at(self, at: float, state: JobState | None) -> float:
        """Return the time of a change that was requested at *at*, as it is decided.

        It is not before a report that was decided first, and not by an old clock.
        """
        if self.is_set_back:
            at = min(at, self._now())
        if state is not None and at < state.last_ping_at:
            at = max(at, min(state.last_ping_at, self._now()))
        return at

    def _resuming(self, state: JobState, ping: Ping) -> Transition:
        """Return what *ping* does to a job that is paused, and goes on with it."""
        job, known = self._watched(ping.job, state, ping.at)
        required = self._required(job)
        resumed = pauses.on_resume(job, known, ping.at, self.settings, required)
        made = on_ping(job, resumed.state, ping, self.settings, required)
        return made.after(resumed)

    def _watched(
        self, name: str, state: JobState | None, now: float
    ) -> tuple[Job, JobState]:
        if (job := self.job_registry.described(name)) is None:
            raise UnknownJobError(self.job_registry.job_config.unknown_job(name))
        return job, state or registered(job, now)

    def _required(self, job: Job) -> tuple[Required, ...]:
        return self.job_registry.requirements(job, self._latest)
