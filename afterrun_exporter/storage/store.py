"""The contract of a store, independent of the database."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from afterrun_exporter.core.daily_figures import FinishedRun, PeriodFigures
from afterrun_exporter.core.model import Condition, Outcome, Run
from afterrun_exporter.core.pushed_metrics import Group, Labels
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.state import AlertKey, JobState, Transition
from afterrun_exporter.storage.outbox import Outbox
from afterrun_exporter.storage.replicas import Replicas

#: A pure function of the current state of a job, None for a new one; it must be safe
#: to call again.
Decide = Callable[[JobState | None], Transition]


class Change(NamedTuple):
    """A change of one job."""

    job: str
    decide: Decide


class Ended(NamedTuple):
    """The end of a finished run, in short."""

    number: int
    outcome: Outcome
    finished_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A finished run of any job, as it was recorded."""

    job: str
    run: Run
    #: Identifies the record; not part of comparisons.
    id: int = field(default=0, compare=False)


#: The longest metadata that is read for many jobs at once.
MAX_METADATA: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """A selection of finished runs of all jobs."""

    #: Empty for every outcome.
    outcomes: frozenset[Outcome] = frozenset()
    #: Runs that were recorded at this time or later.
    since: float = -math.inf
    #: Runs that were recorded before the one with this id.
    before: int | None = None
    limit: int
    #: The run that exceeds so many characters (`Run.size`) is the last one.
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """An alert as it was recorded, open while `resolved_at` is None."""

    job: str
    key: AlertKey
    severity: str
    summary: str
    opened_at: float
    resolved_at: float | None
    #: Number of the run that opened it; 0 if none did.
    run: int
    #: Identifies the record; not part of comparisons.
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """A selection of recorded alerts; None means no restriction."""

    job: str | None = None
    #: Empty for every condition.
    conditions: tuple[Condition, ...] = ()
    severity: str | None = None
    #: True for open alerts, False for resolved ones.
    open: bool | None = None
    #: Alerts opened at this time or later.
    since: float = -math.inf
    #: Alerts that follow the record with this id, which need not match the filter; none
    #: if there is no such record any more.
    before: int | None = None
    #: Conditions and severity are compared only for so many of the newest alerts that
    #: match otherwise, to bound the work.
    window: int | None = None
    #: The number of matching alerts to leave out, from the newest on.
    skip: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStats:
    """Statistics of the recorded alerts of a period."""

    #: By condition, severity, and True if still open.
    counts: Mapping[tuple[Condition, str, bool], int]
    #: The jobs with the most alerts, in descending order.
    jobs: tuple[tuple[str, int], ...]
    #: Duration of resolved alerts in seconds; None without any.
    mean: float | None
    median: float | None
    #: Alerts that are open now, regardless of the period.
    open_now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """A message that a job logged outside the report of a run."""

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

        A live view in memory, without changes that could still be rolled back.
        """
        ...

    @property
    def outbox(self) -> Outbox:
        """Notifications for Alertmanagers, committed together with the alerts."""
        ...

    @property
    def replicas(self) -> Replicas:
        """The replicas that share the database."""
        ...

    def latest(self, job: str) -> JobState | None:
        """Return the state of *job* for a decision, with earlier changes applied.

        For `decide` alone: the earlier changes may still be rolled back, but then
        the decision will be, too.
        """
        ...

    def update_all(
        self, changes: Sequence[Change]
    ) -> Awaitable[list[Transition | Exception]]:
        """Apply *changes*, in this order, in one transaction.

        Each is decided on the state after the previous one. If `decide` raises, the
        change has no effect and its result is the exception; the others are not
        affected. After the return all results survive a power cut: states, runs,
        alerts and logs together.

        Raises StorageError if the transaction could not be committed; then nothing
        has changed, as far as one process uses the database. Of replicas, each commits
        the changes of those jobs that no other replica changed first, and decides the
        others again on their present states. Then a part may have been committed before
        the error, or the whole if the connection broke: the caller repeats all, and
        repeated reports are recognised.
        """
        ...

    async def runs(
        self,
        job: str,
        limit: int,
        before: int | None = None,
        outcomes: Collection[Outcome] = (),
        size: int | None = None,
    ) -> list[Run]:
        """Return the last *limit* runs of *job*, newest first.

        With *before*, only runs with lower numbers; with *outcomes*, only runs with one
        of these. With *size*, the run that exceeds so many characters (`Run.size`) is
        the last one.
        """
        ...

    async def recorded_runs(self, query: RunFilter) -> list[RunRecord]:
        """Return the finished runs that *query* selects, the last recorded one first."""
        ...

    async def endings(
        self, jobs: Collection[str], limit: int
    ) -> dict[str, list[Ended]]:
        """Return the ends of the last *limit* runs of each of *jobs*, newest first.

        Attempts to be followed by another one are omitted, and so are jobs without a
        run.
        """
        ...

    async def last_judged(self, jobs: Collection[str]) -> dict[str, Run]:
        """Return the last run of each of *jobs* that changed the status of its job.

        That is no attempt to be followed by another one, and not canceled or skipped.
        Jobs without such a run among their last ones are omitted, and so is metadata
        of more than `MAX_METADATA` characters.
        """
        ...

    async def histories(
        self, reach: Mapping[str, float], now: float, limit: int
    ) -> dict[str, bytes]:
        """Return the history (core/history.py) of each job in *reach*.

        It covers at least so many seconds before *now*, and at most *limit* runs.
        """
        ...

    async def finished_runs(
        self, after: int, since: float
    ) -> tuple[int, list[FinishedRun]]:
        """Return the next recorded runs after the one with the id *after*, and their last id.

        They were recorded at *since* or later, and are no attempts that another one
        follows. The id is *after* if there are no more.
        """
        ...

    async def figures(
        self, first: int, last: int, jobs: Collection[str] | None = None
    ) -> PeriodFigures:
        """Return the figures of the UTC days from *first* to *last*, since 1970.

        They are those of *jobs*, or of all ones; the totals of days are of all jobs. Runs
        count on the day on which they ended, also after they were pruned.
        """
        ...

    async def alerts(self, query: AlertFilter = EVERY_ALERT) -> list[AlertRecord]:
        """Return the recorded alerts that *query* selects, newest first."""
        ...

    async def alert_stats(self, since: float, jobs: int) -> AlertStats:
        """Return statistics of the alerts that were opened at *since* or later.

        Alerts that are no problem of the job itself are excluded: `BLAMELESS`.
        *jobs* limits the number of jobs with the most alerts.
        """
        ...

    async def receivers(self) -> list[JobReceiver]:
        """Return all receivers, in the order of their creation."""
        ...

    async def add_receivers(self, added: Sequence[JobReceiver]) -> list[JobReceiver]:
        """Store the receivers *added*; return them with ids that are never reused.

        Raises StorageError; then none is stored.
        """
        ...

    async def remove_receivers(self, numbers: Collection[int]) -> None:
        """Delete the receivers with these ids; missing ones are ignored.

        Raises StorageError; then none is deleted.
        """
        ...

    async def pushed(self) -> list[Group]:
        """Return all groups of pushed metrics."""
        ...

    async def save_pushed(self, group: Group) -> bool:
        """Store *group* in place of the one with the same labels.

        After the return it survives a power cut. Returns False, without changes, if
        another replica has changed any group since the last call of `pushed`. Raises
        StorageError; then nothing has changed.
        """
        ...

    async def drop_pushed(self, labels: Labels) -> None:
        """Delete the group with these labels, if there is one.

        Raises StorageError; then it is not deleted.
        """
        ...

    async def logs(self, job: str) -> list[LogRecord]:
        """Return the log messages of *job*, newest first."""
        ...

    async def prune(
        self, before: float, runs_per_job: int, reports_before: float | None = None
    ) -> int:
        """Delete old runs, logs, resolved alerts and figures; return the number of runs.

        Runs and logs are older than *before*, or not among the newest *runs_per_job*
        runs of a job. The last run of a job is kept. Resolved alerts and figures of days
        are older than *reports_before*, which is *before* by default. Works in small
        steps between which other updates are committed.
        """
        ...

    def writing_for(self) -> float:
        """Return the seconds since the current transaction began; 0 without one."""
        ...

    async def probe(self) -> None:
        """Commit a transaction without changes; raise StorageError if that fails."""
        ...

    async def check(self) -> None:
        """Raise StorageError if commits would be lost: the files were replaced.

        Call it once a second; transactions are refused from then on, until the files
        are back.
        """
        ...

    def failures(self) -> int:
        """Return the number of StorageErrors, except of `update_all` and `check`."""
        ...

    def size(self) -> int:
        """Return the size on disk in bytes."""
        ...

    async def close(self) -> None:
        """Commit the waiting updates, and release all resources."""
        ...


async def update(store: Store, job: str, decide: Decide) -> Transition:
    """Apply one change; raise the exception of its `decide`."""
    (result,) = await store.update_all([Change(job, decide)])
    if isinstance(result, Exception):
        raise result
    return result
