"""What storage promises, whatever stands behind it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from afterrun_exporter.core.model import Condition, Outcome, Run
from afterrun_exporter.core.pushed import Group, Labels
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.state import AlertKey, JobState, Transition
from afterrun_exporter.storage.outbox import Outbox

#: A pure function of the current state of a job, None for one that is new; it
#: must be safe to call again.
Decide = Callable[[JobState | None], Transition]


class Change(NamedTuple):
    """What is to become of one job."""

    job: str
    decide: Decide


class Ended(NamedTuple):
    """A finished run in short: how it ended, and when."""

    number: int
    outcome: Outcome
    finished_at: float


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
    #: Names the record; one that says the same is the same all the same.
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which recorded alerts are asked for; what is None makes no difference."""

    job: str | None = None
    #: Empty for every condition.
    conditions: tuple[Condition, ...] = ()
    severity: str | None = None
    #: Open ones, or resolved ones.
    open: bool | None = None
    #: Opened then or later.
    since: float = -math.inf
    #: Those that come after the record with this id, which may be of any kind; none
    #: when there is no such record any more.
    before: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStats:
    """What the recorded alerts of a time come to."""

    #: By condition, severity and whether it is still open.
    counts: Mapping[tuple[Condition, str, bool], int]
    #: The jobs with the most alerts, those first.
    jobs: tuple[tuple[str, int], ...]
    #: How long they stayed open; None where none has been resolved.
    mean: float | None
    median: float | None
    #: Alerts that are open now, whenever they opened.
    open_now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """What a job logged outside the report of a run."""

    job: str
    at: float
    run_id: str | None
    message: str
    metadata: str


EVERY_ALERT: Final = AlertFilter()


class Store(Protocol):
    """Job states, finished runs, alerts and logs that survive a crash."""

    @property
    def states(self) -> Mapping[str, JobState]:
        """The committed state of every job, retired ones included.

        A live view in memory: it never shows what could still be rolled back.
        """
        ...

    @property
    def outbox(self) -> Outbox:
        """What Alertmanagers are to be told, committed with the alerts themselves."""
        ...

    def latest(self, job: str) -> JobState | None:
        """Return the state of *job* as the change that is being decided finds it.

        For `decide` alone: the changes before it may still be rolled back, but
        then it will be, too.
        """
        ...

    def update_all(
        self, changes: Sequence[Change]
    ) -> Awaitable[list[Transition | Exception]]:
        """Apply *changes*, in this order, in one transaction.

        Each is decided on the state that the one before it left. One whose
        `decide` raises changes nothing and is answered with its exception; it
        does not harm the others. When this returns, all the rest survives a
        power cut: states, runs, alerts and logs together.

        Raises StorageError when the transaction could not be committed: then
        nothing has changed.
        """
        ...

    async def runs(self, job: str, limit: int, before: int | None = None) -> list[Run]:
        """Return the last *limit* runs of *job*, the newest first.

        Of those whose numbers are lower than *before*, where that is given.
        """
        ...

    async def endings(
        self, jobs: Collection[str], limit: int
    ) -> dict[str, list[Ended]]:
        """Return how the last *limit* runs of each of *jobs* ended, the newest first.


        Attempts that another one was to follow are not among them.
        A job that never ran has none; it is not in the answer.
        """
        ...

    async def histories(
        self, reach: Mapping[str, float], now: float, limit: int
    ) -> dict[str, bytes]:
        """Return the history (core/history.py) of each job in *reach*.

        That is what it ran in so many seconds up to *now*, or somewhat more, and
        at most *limit* runs.
        """
        ...

    async def alerts(self, which: AlertFilter = EVERY_ALERT) -> list[AlertRecord]:
        """Return the recorded alerts that *which* asks for, the newest first."""
        ...

    async def alert_stats(self, since: float, jobs: int) -> AlertStats:
        """Return what the alerts opened at *since* or later come to.

        But for those in which nothing is wrong with the job itself: `BLAMELESS`.
        Of the jobs with the most alerts, the first *jobs*.
        """
        ...

    async def receivers(self) -> list[JobReceiver]:
        """Return every receiver that was added, in that order."""
        ...

    async def add_receivers(self, added: Sequence[JobReceiver]) -> list[JobReceiver]:
        """Keep the receivers *added*; return them with ids that are never used again.

        Raises StorageError, and then none is kept.
        """
        ...

    async def remove_receivers(self, numbers: Collection[int]) -> None:
        """Delete the receivers with these ids, as far as there are any.

        Raises StorageError, and then all are still there.
        """
        ...

    async def pushed(self) -> list[Group]:
        """Return every group whose pushes are exposed again."""
        ...

    async def save_pushed(self, group: Group) -> None:
        """Keep *group* in the place of the one with its labels, if there is one.

        When this returns, it survives a power cut. Raises StorageError, and then
        nothing has changed.
        """
        ...

    async def drop_pushed(self, labels: Labels) -> None:
        """Forget the group with these labels, if there is one.

        Raises StorageError, and then it is still there.
        """
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

    def writing_for(self) -> float:
        """Return for how many seconds a transaction has been under way; 0 for none."""
        ...

    async def probe(self) -> None:
        """Commit a transaction that changes nothing; raise StorageError if that fails."""
        ...

    async def check(self) -> None:
        """Raise StorageError if nothing more can be kept: the files were replaced.

        To be called once a second; transactions are refused from then on, until the
        files are back.
        """
        ...

    def failures(self) -> int:
        """Return how many calls but `update_all` and `check` have raised StorageError."""
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
