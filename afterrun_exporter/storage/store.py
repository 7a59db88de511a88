"""What storage promises, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from afterrun_exporter.core.model import Run
from afterrun_exporter.core.state import AlertKey, JobState, Transition

#: A pure function of the current state of a job, None for one that is new; it
#: must be safe to call again.
Decide = Callable[[JobState | None], Transition]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of one job."""

    job: str
    decide: Decide


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """An alert as it was recorded, open while `resolved_at` is None."""

    job: str
    key: AlertKey
    severity: str
    summary: str
    opened_at: float
    resolved_at: float | None
    #: Number of the run that opened it; 0 where none did.
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """What a job logged outside the report of a run."""

    job: str
    at: float
    run_id: str | None
    message: str
    metadata: str


class Store(Protocol):
    """Job states, finished runs, alerts and logs that survive a crash."""

    @property
    def states(self) -> Mapping[str, JobState]:
        """The committed state of every job, retired ones included.

        A live view in memory: it never shows what could still be rolled back.
        """
        ...

    async def update_all(
        self, changes: Sequence[Change]
    ) -> list[Transition | Exception]:
        """Apply *changes*, in this order, in one transaction.

        Each is decided on the state that the one before it left. One whose
        `decide` raises changes nothing and is answered with its exception; it
        does not harm the others. When this returns, all the rest survives a
        power cut: states, runs, alerts and logs together.

        Raises StorageError when the transaction could not be committed: then
        nothing has changed.
        """
        ...

    async def runs(self, job: str, limit: int) -> list[Run]:
        """Return the last *limit* runs of *job*, the newest first."""
        ...

    async def alerts(self, job: str | None = None) -> list[AlertRecord]:
        """Return the recorded alerts, the newest first."""
        ...

    async def logs(self, job: str) -> list[LogRecord]:
        """Return what *job* logged, the newest first."""
        ...

    async def prune(self, before: float, runs_per_job: int) -> int:
        """Forget runs, logs and resolved alerts older than *before*, and all
        but the newest *runs_per_job* runs of each job; return how many runs.

        The last run of a job is kept. Works in small steps between which other
        updates are committed.
        """
        ...

    def size(self) -> int:
        """Return the bytes on disk."""
        ...

    async def close(self) -> None:
        """Commit what is waiting, and let go of everything."""
        ...


async def update(store: Store, job: str, decide: Decide) -> Transition:
    """Apply one change; raise what its `decide` raised."""
    (result,) = await store.update_all([Change(job, decide)])
    if isinstance(result, Exception):
        raise result
    return result
