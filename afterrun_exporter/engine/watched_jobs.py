"""Read access to the watched jobs, their states and their history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice

from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job, Run, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.engine.decisions import Decisions
from afterrun_exporter.engine.job_registry import JobRegistry
from afterrun_exporter.storage.store import AlertFilter, AlertRecord, Store


class WatchedJobs:
    """The watched jobs by name, with their states as committed."""

    def __init__(self, store: Store, clock: Clock, decisions: Decisions) -> None:
        #: Only this folder writes to it.
        self.store = store
        self._clock = clock
        #: Makes the decisions about jobs, and knows the registry of jobs.
        self.decisions = decisions

    @property
    def _registry(self) -> JobRegistry:
        return self.decisions.job_registry

    @property
    def job_config(self) -> JobConfig:
        """The configured jobs, and the policy for unknown ones."""
        return self._registry.job_config

    @job_config.setter
    def job_config(self, job_config: JobConfig) -> None:
        self._registry.job_config = job_config

    def revision(self) -> str:
        """Return the commit of the configuration that is in use; "" if it is unknown."""
        return self.job_config.revision

    def now(self) -> float:
        """Return the time of day by which jobs are judged."""
        return self._clock.now()

    @property
    def settings(self) -> Settings:
        """The settings that apply to every decision."""
        return self.decisions.settings

    def job(self, name: str) -> Job | None:
        """Return the job of this name; None if it is not monitored."""
        return self._registry.get(name)

    def named_by(self, uuid: str) -> str | None:
        """Return the job with this ping_uuid; None if there is none."""
        return self._registry.named_by(uuid)

    def called(self, kind: str, alias: str) -> Iterator[Job]:
        """Yield the jobs with this *alias*, a "name" or a "slug" of other systems."""
        return self._registry.called(kind, alias)

    def described(self, name: str) -> Job | None:
        """Return a job as it is configured or described, also if it is disabled."""
        return self._registry.described(name)

    def state(self, name: str) -> JobState | None:
        """Return the committed state of a monitored job."""
        return self.store.states.get(name) if self.job(name) else None

    def job_and_state(self, name: str) -> tuple[Job, JobState] | None:
        """Return a monitored job and its state; None if it has none."""
        job, state = self._registry.get(name), self.store.states.get(name)
        if job is None or state is None:
            return None
        return self.decisions.standing(job, state), state

    @property
    def names(self) -> Sequence[str]:
        """The sorted names of all monitored jobs, until the next yield to the event loop."""
        return self._registry.names

    def watched(self) -> Iterator[tuple[Job, JobState]]:
        """Yield every monitored job with its state."""
        states, standing = self.store.states, self.decisions.standing
        return (
            (standing(job, state), state)
            for job in self._registry
            if (state := states.get(job.name)) is not None
        )

    async def each(self) -> AsyncIterator[tuple[Job, JobState]]:
        """Yield the same as `watched`, letting the event loop run in between."""
        async for name in cooperatively(self.all_names()):
            if (job_and_state := self.job_and_state(name)) is not None:
                yield job_and_state

    @property
    def job_count(self) -> int:
        """The number of jobs that have a state, watched or not."""
        return len(self.store.states)

    def all_names(self, skip: int = 0) -> list[str]:
        """Return the names of all jobs that have a state, watched or not.

        They are in the order in which the jobs appeared; the first *skip* are left out.
        """
        return list(islice(self.store.states, skip, None))

    async def runs(
        self,
        name: str,
        limit: int,
        before: int | None = None,
        size: int | None = None,
    ) -> list[Run]:
        """Return the last *limit* finished runs of a job, as `Store.runs` does."""
        return await self.store.runs(name, limit, before, size=size)

    async def alerts(self, which: AlertFilter) -> list[AlertRecord]:
        """Return the recorded alerts that match, as `Store.alerts` does."""
        return await self.store.alerts(which)

    def database_size(self) -> int:
        """Return the bytes that the store takes on disk."""
        return self.store.size()
