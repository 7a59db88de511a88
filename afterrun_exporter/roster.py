"""Which jobs are watched: those the configuration names, and those that pinged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from afterrun_exporter.conventions import TEST_JOB
from afterrun_exporter.core.catalogue import Catalogue
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.upstream import (
    Required,
    dependents,
    downstream,
    requirements,
)


class Roster:
    """The jobs by their names, and which of them build on which."""

    def __init__(self, catalogue: Catalogue, strays: Iterable[str] = ()) -> None:
        self.catalogue = catalogue
        self._registered = {name: catalogue.nameless(name) for name in strays}
        self._dependents = dependents(job for job in self if job.depends_on)

    def get(self, name: str) -> Job | None:
        """Return the job of this name, None when it is not watched."""
        return self.catalogue.jobs.get(name) or self._registered.get(name)

    def __iter__(self) -> Iterator[Job]:
        yield from self.catalogue.jobs.values()
        yield from self._registered.values()

    def __len__(self) -> int:
        return len(self.catalogue.jobs) + len(self._registered)

    def register(self, job: Job) -> None:
        """Watch a job that the configuration does not name."""
        self._registered[job.name] = job
        if job.depends_on:
            self._dependents = dependents(self)

    def dismiss(self, job: Job) -> None:
        """Stop watching a job that was registered."""
        self._registered.pop(job.name, None)
        if job.depends_on:
            self._dependents = dependents(self)

    def strangers(self, names: Iterable[str]) -> dict[str, Job]:
        """Return the jobs that may be registered, as far as there is room."""
        unknown = self.catalogue.unknown
        if unknown is None:
            return {}
        new = dict.fromkeys(name for name in names if self.get(name) is None)
        room = max(0, self.catalogue.max_jobs - len(self))
        return {name: unknown(name) for name in islice(new, room)}

    def requirements(
        self, job: Job, latest: Callable[[str], JobState | None]
    ) -> tuple[Required, ...]:
        """Return how the jobs are doing that *job* requires, by their *latest*."""
        if not job.depends_on:
            return ()

        def look_up(name: str) -> tuple[Job, JobState] | None:
            found, state = self.get(name), latest(name)
            return (found, state) if found is not None and state is not None else None

        return requirements(job, look_up)

    def downstream(self, name: str) -> Iterator[str]:
        """Yield every job that requires *name*, directly or through others."""
        return downstream(name, self._dependents)


def parted(
    states: Mapping[str, JobState], catalogue: Catalogue
) -> tuple[list[str], list[str]]:
    """Return which jobs with *states* have left, and which only pings have named."""
    gone: list[str] = []
    stray: list[str] = []
    for name, state in states.items():
        if state.retired_at is None and name not in catalogue.jobs:
            # What only pings have named stays, as long as pings may name jobs.
            leaves = state.configured or catalogue.unknown is None
            if is_made_for_tests(name, state):
                leaves = is_spent(state)
            (gone if leaves else stray).append(name)
    return gone, stray


def is_made_for_tests(name: str, state: JobState) -> bool:
    """Return whether nobody knows of this job but who asked for a test alert."""
    return name == TEST_JOB and not (state.configured or state.last_ping_at)


def is_spent(state: JobState) -> bool:
    """Return whether nothing of the job's alerts is to be seen any more."""
    return not (state.alerts or state.healed)
