"""The registry of monitored jobs: configured ones, and auto-registered ones."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final

from afterrun_exporter.conventions import TEST_JOB
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.names import aliases
from afterrun_exporter.core.pauses import paused_job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.upstream import (
    Required,
    dependents,
    downstream,
    requirements,
)

#: The number of names that are sorted in one step.
STEP: Final = 2000


class JobRegistry:
    """The jobs by name, and their dependencies."""

    def __init__(self, job_config: JobConfig) -> None:
        self.job_config = job_config
        self._registered: dict[str, Job] = {}
        #: Names of paused jobs, which are returned as disabled.
        self.paused: set[str] = set()
        self._names: list[str] | None = None
        self._dependents: dict[str, list[str]] = {}
        self._note_dependents(job_config.jobs.values())
        self._by_uuid = {
            job.ping_uuid: name
            for name, job in job_config.jobs.items()
            if job.ping_uuid
        }
        #: Names of jobs by alias, see `names.aliases`.
        self._by_alias: dict[tuple[str, str], dict[str, None]] = {}
        for job in job_config.jobs.values():
            self._note_aliases(None, job)

    @property
    def registered(self) -> AbstractSet[str]:
        """The names of auto-registered jobs."""
        return self._registered.keys()

    @property
    def names(self) -> Sequence[str]:
        """The names of all jobs, in order."""
        if self._names is None:
            for _ in self.sorting():
                pass
        return self._names or ()

    def sorting(self) -> Iterator[None]:
        """Sort `names` in steps; no job may be registered in between."""
        names = [*self.job_config.jobs, *self._registered]
        for at in range(0, len(names), STEP):
            names[at : at + STEP] = sorted(names[at : at + STEP])
            yield
        # Sorting sorted pieces only merges them.
        names.sort()
        self._names = names

    def get(self, name: str) -> Job | None:
        """Return the job of this name; None if it is not monitored."""
        job = self.described(name)
        if self.paused and job is not None and name in self.paused:
            return paused_job(job)
        return job

    def of(self, names: Iterable[str]) -> Iterator[Job]:
        """Yield the monitored jobs with these *names*, as returned by `get`."""
        jobs, registered, paused = self.job_config.jobs, self._registered, self.paused
        for name in names:
            job = jobs.get(name) or registered.get(name)
            if job is not None:
                yield paused_job(job) if name in paused else job

    def described(self, name: str) -> Job | None:
        """Return the job of this name without regard to pauses."""
        return self.job_config.jobs.get(name) or self._registered.get(name)

    def named_by(self, uuid: str) -> str | None:
        """Return the name of the job with this ping_uuid; None if there is none."""
        return self._by_uuid.get(uuid)

    def called(self, kind: str, alias: str) -> Iterator[Job]:
        """Yield the jobs with this *alias*, a "name" or a "slug", the oldest first."""
        return self.of(self._by_alias.get((kind, alias), ()))

    def __iter__(self) -> Iterator[Job]:
        for jobs in (self.job_config.jobs, self._registered):
            for name, job in jobs.items():
                yield paused_job(job) if name in self.paused else job

    def __len__(self) -> int:
        return len(self.job_config.jobs) + len(self._registered)

    def register(self, job: Job) -> None:
        """Add or replace the auto-registered *job*."""
        before = self._registered.get(job.name)
        self._registered[job.name] = job
        self._note_uuid(before, job)
        self._note_aliases(before, job)
        if before is None:
            if self._names is not None:
                insort(self._names, job.name)
            self._note_dependents((job,))
        elif before.depends_on != job.depends_on:
            self._note_all_dependents()

    def dismiss(self, job: Job) -> None:
        """Remove an auto-registered job."""
        before = self._registered.pop(job.name, None)
        if before is not None and self._names is not None:
            del self._names[bisect_left(self._names, job.name)]
        self._note_uuid(before, None)
        self._note_aliases(before, None)
        if job.depends_on:
            self._note_all_dependents()

    def note_pause(self, name: str, state: JobState) -> bool:
        """Record the pause of the job *name* in *state*; return True if it changed."""
        if bool(state.paused_at) == (name in self.paused):
            return False
        self.paused ^= {name}
        return True

    def keep(self, other: JobRegistry, states: Mapping[str, JobState]) -> None:
        """Add the jobs that were registered with *other* in the meantime."""
        for name in other.registered - self._registered.keys():
            state = states[name]
            if self.get(name) is None and not leaves(name, state, self.job_config):
                self.register(self.job_config.nameless(name, state.client_settings))
        self.keep_pauses(other, states)

    def keep_pauses(self, other: JobRegistry, states: Mapping[str, JobState]) -> None:
        """Apply the current pauses of the jobs paused here or in *other*."""
        for name in self.paused | other.paused:
            self.note_pause(name, states[name])

    def auto_registered(self, names: Iterable[str]) -> dict[str, Job]:
        """Return the unknown jobs among *names* that may be registered, up to the limit."""
        unknown = self.job_config.unknown
        if unknown is None:
            return {}
        new = dict.fromkeys(name for name in names if self.get(name) is None)
        room = max(0, self.job_config.max_jobs - len(self))
        return {name: unknown(name, "") for name in islice(new, room)}

    def requirements(
        self, job: Job, latest: Callable[[str], JobState | None]
    ) -> tuple[Required, ...]:
        """Return the condition of the jobs that *job* requires, by their *latest* states."""
        if not job.depends_on:
            return ()

        def look_up(name: str) -> tuple[Job, JobState] | None:
            required, state = self.get(name), latest(name)
            return (
                (required, state)
                if required is not None and state is not None
                else None
            )

        return requirements(job, look_up)

    def downstream(self, name: str) -> Iterator[str]:
        """Yield every job that requires *name*, directly or through others."""
        return downstream(name, self._dependents)

    def _note_uuid(self, before: Job | None, job: Job | None) -> None:
        if before is not None and self._by_uuid.get(before.ping_uuid) == before.name:
            del self._by_uuid[before.ping_uuid]
        # A configured job takes precedence.
        if job is not None and job.ping_uuid:
            self._by_uuid.setdefault(job.ping_uuid, job.name)

    def _note_aliases(self, before: Job | None, job: Job | None) -> None:
        if before is not None and before.display_name:
            for alias in aliases(before):
                jobs = self._by_alias[alias]
                del jobs[before.name]
                if not jobs:
                    del self._by_alias[alias]
        if job is not None and job.display_name:
            for alias in aliases(job):
                self._by_alias.setdefault(alias, {})[job.name] = None

    def _note_all_dependents(self) -> None:
        self._dependents = {}
        self._note_dependents(self)

    def _note_dependents(self, jobs: Iterable[Job]) -> None:
        for name, by in dependents(job for job in jobs if job.depends_on).items():
            self._dependents.setdefault(name, []).extend(by)


def leaves(name: str, state: JobState, job_config: JobConfig) -> bool:
    """Return True if a job that *job_config* does not define must be retired."""
    if is_made_for_tests(name, state):
        return is_spent(state)
    # Auto-registered jobs stay as long as auto-registration is allowed.
    return state.configured or job_config.unknown is None


def is_made_for_tests(name: str, state: JobState) -> bool:
    """Return True if this job exists only for test alerts."""
    return name == TEST_JOB and not (state.configured or state.last_ping_at)


def is_spent(state: JobState) -> bool:
    """Return True if the job has no open or recently resolved alerts."""
    return not (state.alerts or state.healed)
