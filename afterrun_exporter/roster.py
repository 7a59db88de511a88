"""Which jobs are watched: those the configuration names, and those that pinged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
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

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._registered: dict[str, Job] = {}
        self._dependents: dict[str, list[str]] = {}
        self._note_dependents(catalogue.jobs.values())

    @property
    def registered(self) -> AbstractSet[str]:
        """The names of the jobs that the configuration does not name."""
        return self._registered.keys()

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
        self._note_dependents((job,))

    def dismiss(self, job: Job) -> None:
        """Stop watching a job that was registered."""
        self._registered.pop(job.name, None)
        if job.depends_on:
            self._dependents = {}
            self._note_dependents(self)

    def keep(self, other: Roster, states: Mapping[str, JobState]) -> None:
        """Watch those too that have been registered with *other* meanwhile."""
        for name in other.registered - self._registered.keys():
            if self.get(name) is None and not leaves(
                name, states[name], self.catalogue
            ):
                self.register(self.catalogue.nameless(name))

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

    def _note_dependents(self, jobs: Iterable[Job]) -> None:
        for name, by in dependents(job for job in jobs if job.depends_on).items():
            self._dependents.setdefault(name, []).extend(by)


def leaves(name: str, state: JobState, catalogue: Catalogue) -> bool:
    """Return whether a job that *catalogue* does not name is to be retired."""
    if is_made_for_tests(name, state):
        return is_spent(state)
    # What only pings have named stays, as long as pings may name jobs.
    return state.configured or catalogue.unknown is None


def is_made_for_tests(name: str, state: JobState) -> bool:
    """Return whether nobody knows of this job but who asked for a test alert."""
    return name == TEST_JOB and not (state.configured or state.last_ping_at)


def is_spent(state: JobState) -> bool:
    """Return whether nothing of the job's alerts is to be seen any more."""
    return not (state.alerts or state.healed)
