"""Fakes for tests: a manual clock and an in-memory store with the full contracts."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter, defaultdict
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import attrgetter
from typing import Any

from msgspec import structs

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.clock_watch import ClockJump
from afterrun_exporter.core.daily_figures import (
    DAY,
    BrokenSpan,
    DayFigures,
    DayTotals,
    FinishedRun,
    JobFigures,
    PeriodFigures,
    day_of,
    figures_of,
    unpunctual,
)
from afterrun_exporter.core.duplicates import KEY_SIZE, NO_KEY
from afterrun_exporter.core.history import pack, past
from afterrun_exporter.core.model import BLAMELESS, NEUTRAL, Condition, Outcome, Run
from afterrun_exporter.core.pushed_metrics import Group, Labels
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.state import (
    AlertMoved,
    AlertOpened,
    AlertResolved,
    JobState,
    Transition,
)
from afterrun_exporter.storage.group_commit import NONE_LOST, GroupCommit, Lost, Writes
from afterrun_exporter.storage.outbox import Changes, Outbox
from afterrun_exporter.storage.replicas import Replicas, SoleReplica
from afterrun_exporter.storage.run_keys import MEMORY, OlderKeys
from afterrun_exporter.storage.store import (
    EVERY_ALERT,
    MAX_METADATA,
    AlertFilter,
    AlertRecord,
    AlertStats,
    Change,
    Ended,
    LogRecord,
    RunFilter,
    RunRecord,
)


@dataclass(frozen=True, slots=True)
class _Sleeper:
    when: float
    task: asyncio.Task[Any] | None
    waking: asyncio.Future[None]
    #: True if it waits for a time of day, False for elapsed time.
    by_wall: bool


class ManualClock:
    """A clock that shows a fixed time until it is advanced.

    The daemon is running meanwhile. It must detect `step` and `suspend` itself.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._elapsed = 0.0
        self._jump: ClockJump | None = None
        self._sleepers: list[_Sleeper] = []

    def now(self) -> float:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def look(self) -> ClockJump | None:
        jump, self._jump = self._jump, None
        return jump

    async def sleep(self, seconds: float) -> None:
        await self._sleep(self._elapsed + seconds, by_wall=False)

    async def sleep_until(self, when: float) -> None:
        if when > self._now:
            await self._sleep(when, by_wall=True)

    def show(self, now: float) -> None:
        """Show *now*, earlier or later, without waking any task."""
        self._elapsed += max(0.0, now - self._now)
        self._now = now

    async def advance(self, seconds: float) -> None:
        """Advance the time; return when all woken tasks sleep again or are finished.

        A negative number sets the clock back.
        """
        if seconds < 0:
            await self.step(seconds)
            return
        self._now += seconds
        self._elapsed += seconds
        await self._wake()

    async def step(self, seconds: float) -> None:
        """Set the time of day forward or back; return as `advance` does."""
        self._now += seconds
        self._add(step=seconds)
        await self._wake(is_back=seconds < 0)

    async def suspend(self, seconds: float) -> None:
        """Advance the time as if the machine was suspended; return as `advance` does."""
        self._now += seconds
        self._elapsed += seconds
        self._add(pause=seconds)
        await self._wake()

    def is_asleep(self, task: asyncio.Task[Any]) -> bool:
        """Return True if *task* waits for a later time."""
        return task in self._asleep()

    def _add(self, step: float = 0.0, pause: float = 0.0) -> None:
        before = self._jump or ClockJump(self._now, 0.0, 0.0)
        self._jump = ClockJump(self._now, before.step + step, before.pause + pause)

    async def _sleep(self, when: float, *, by_wall: bool) -> None:
        waking = asyncio.get_running_loop().create_future()
        self._sleepers.append(_Sleeper(when, asyncio.current_task(), waking, by_wall))
        await waking

    async def _wake(self, *, is_back: bool = False) -> None:
        due = [one for one in self._sleepers if self._is_over(one, is_back)]
        self._sleepers = [one for one in self._sleepers if one not in due]
        for sleeper in due:
            if not sleeper.waking.done():
                sleeper.waking.set_result(None)
        woken = {sleeper.task for sleeper in due if sleeper.task}
        while any(not task.done() for task in woken - self._asleep()):
            await yield_to_loop()

    def _is_over(self, sleeper: _Sleeper, is_back: bool) -> bool:
        if sleeper.by_wall:
            return is_back or sleeper.when <= self._now
        return sleeper.when <= self._elapsed

    def _asleep(self) -> set[asyncio.Task[Any] | None]:
        return {sleeper.task for sleeper in self._sleepers}


class MemoryStore:
    """Implements `Store` without persistence."""

    def __init__(self, key_memory: int = MEMORY) -> None:
        self._states: dict[str, JobState] = {}
        self._runs: list[tuple[str, Run]] = []
        #: The keys of the runs of each job, by run number.
        self._keys: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
        self._alerts: list[AlertRecord] = []
        self._missed: dict[str, int] = {}
        self._figures: dict[tuple[str, int], DayFigures] = {}
        self._logs: list[LogRecord] = []
        self._receivers: dict[int, JobReceiver] = {}
        self._newest_receiver = 0
        self._pushed: dict[Labels, Group] = {}
        self._newest_alert = 0
        self._commits = GroupCommit(
            self._states, self._write, self._older_keys, key_memory
        )
        self.outbox = Outbox(self._write_outbox)
        self.replicas: Replicas = SoleReplica()

    @property
    def states(self) -> Mapping[str, JobState]:
        return self._states

    def latest(self, job: str) -> JobState | None:
        return self._commits.latest(job)

    def update_all(
        self, changes: Sequence[Change]
    ) -> Awaitable[list[Transition | Exception]]:
        return self._commits.update_all(changes)

    async def runs(
        self,
        job: str,
        limit: int,
        before: int | None = None,
        outcomes: Collection[Outcome] = (),
        size: int | None = None,
    ) -> list[Run]:
        newest_first = (
            run
            for name, run in reversed(self._runs)
            if name == job
            and (before is None or run.number < before)
            and (not outcomes or run.outcome in outcomes)
        )
        runs = [run for run, _ in zip(newest_first, range(limit), strict=False)]
        return runs[: _until([run.size for run in runs], size)]

    async def recorded_runs(self, query: RunFilter) -> list[RunRecord]:
        every = [
            RunRecord(id=id_, job=name, run=run)
            for id_, (name, run) in enumerate(self._runs, start=1)
        ]
        selected = [
            one
            for one in reversed(every)
            if (query.before is None or one.id < query.before)
            and one.run.received_at >= query.since
            and (not query.outcomes or one.run.outcome in query.outcomes)
        ]
        selected = selected[: query.limit]
        return selected[: _until([one.run.size for one in selected], query.size)]

    async def endings(
        self, jobs: Collection[str], limit: int
    ) -> dict[str, list[Ended]]:
        endings: dict[str, list[Ended]] = {}
        for name, run in reversed(self._runs):
            job_endings = endings.setdefault(name, []) if name in jobs else []
            if not run.is_retried and len(job_endings) < limit:
                job_endings.append(Ended(run.number, run.outcome, run.finished_at))
        return {
            name: job_endings for name, job_endings in endings.items() if job_endings
        }

    async def last_judged(self, jobs: Collection[str]) -> dict[str, Run]:
        return {
            name: structs.replace(run, metadata="")
            if len(run.metadata) > MAX_METADATA
            else run
            for name, run in self._runs
            if name in jobs and not run.is_retried and run.outcome not in NEUTRAL
        }

    async def histories(
        self,
        reach: Mapping[str, float],
        now: float,  # noqa: ARG002 - it may return more than necessary
        limit: int,
    ) -> dict[str, bytes]:
        return {
            name: pack(filter(None, map(past, await self.runs(name, limit))))
            for name in reach
        }

    async def finished_runs(
        self, after: int, since: float
    ) -> tuple[int, list[FinishedRun]]:
        runs = [
            FinishedRun(run.outcome, run.finished_at, run.duration)
            for _, run in self._runs[after:]
            if run.received_at >= since and not run.is_retried
        ]
        return len(self._runs), runs

    async def figures(
        self, first: int, last: int, jobs: Collection[str] | None = None
    ) -> PeriodFigures:
        start, end = first * DAY, (last + 1) * DAY
        names = self._states if jobs is None else jobs
        selected = {k: v for k, v in self._figures.items() if first <= k[1] <= last}
        totals: dict[str, DayFigures] = {}
        days: dict[int, DayFigures] = {}
        weighted: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        for (name, day), figures in selected.items():
            if figures.weight > 1:
                weighted[name].append((figures.weight, figures.durations))
                figures = figures._replace(durations="")  # noqa: PLW2901
            totals[name] = totals.get(name, DayFigures()).plus(figures)
            days[day] = days.get(day, DayFigures()).plus(figures)
        broken: defaultdict[str, list[BrokenSpan]] = defaultdict(list)
        for one in sorted(self._alerts, key=attrgetter("opened_at")):
            if (
                one.job in names
                and one.key.condition not in BLAMELESS
                and one.opened_at < end
                and (one.resolved_at is None or one.resolved_at > start)
            ):
                broken[one.job].append(BrokenSpan(one.opened_at, one.resolved_at))
        return PeriodFigures(
            [
                JobFigures(*(name, *one[:4]), weighted=tuple(weighted[name]))
                for name, one in totals.items()
                if name in names
            ],
            [DayTotals(day, days[day].runs, days[day].missed) for day in sorted(days)],
            broken,
        )

    async def alerts(self, query: AlertFilter = EVERY_ALERT) -> list[AlertRecord]:
        every = sorted(self._alerts, key=attrgetter("opened_at", "id"), reverse=True)
        if query.before is not None:
            ids = [alert.id for alert in every]
            start = ids.index(query.before) + 1 if query.before in ids else len(ids)
            every = every[start:]
        if query.window is not None and (query.conditions or query.severity):
            plain = replace(query, conditions=(), severity=None)
            every = [a for a in every if _matches(plain, a)][: query.window]
        found = [a for a in every if _matches(query, a)][query.skip :]
        return found[: query.limit]

    async def alert_stats(self, since: float, jobs: int) -> AlertStats:
        return _stats_of(self._alerts, since, jobs)

    async def receivers(self) -> list[JobReceiver]:
        return list(self._receivers.values())

    async def add_receivers(self, added: Sequence[JobReceiver]) -> list[JobReceiver]:
        first = self._newest_receiver + 1
        receivers = [replace(one, id=id_) for id_, one in enumerate(added, start=first)]
        self._newest_receiver += len(receivers)
        self._receivers |= {one.id: one for one in receivers}
        return receivers

    async def remove_receivers(self, numbers: Collection[int]) -> None:
        for number in numbers:
            self._receivers.pop(number, None)

    async def pushed(self) -> list[Group]:
        return list(self._pushed.values())

    async def save_pushed(self, group: Group) -> bool:
        self._pushed[group.labels] = group
        return True

    async def drop_pushed(self, labels: Labels) -> None:
        self._pushed.pop(labels, None)

    async def logs(self, job: str) -> list[LogRecord]:
        return [entry for entry in reversed(self._logs) if entry.job == job]

    async def prune(
        self, before: float, runs_per_job: int, reports_before: float | None = None
    ) -> int:
        remaining = [
            (name, run)
            for name, run in self._runs
            if run.number == (newest := self._states[name].recorded)
            or (run.received_at >= before and run.number > newest - runs_per_job)
        ]
        pruned = len(self._runs) - len(remaining)
        numbers = {(name, run.number) for name, run in remaining}
        for name, keys in self._keys.items():
            for number in [one for one in keys if (name, one) not in numbers]:
                del keys[number]
        self._commits.keys.forget(self._keys)
        self._runs = remaining
        self._logs = [entry for entry in self._logs if entry.at >= before]
        since = before if reports_before is None else reports_before
        self._alerts = [
            alert
            for alert in self._alerts
            if alert.resolved_at is None or alert.resolved_at >= since
        ]
        self._figures = {
            key: one for key, one in self._figures.items() if key[1] >= day_of(since)
        }
        return pruned

    def writing_for(self) -> float:
        return self._commits.writing_for()

    async def probe(self) -> None:
        await self._write([])

    async def check(self) -> None:
        """Do nothing: there are no files."""

    def failures(self) -> int:
        return 0

    def size(self) -> int:
        return 0

    async def close(self) -> None:
        await self._commits.drained()

    async def _write(self, writes: Writes) -> Lost:
        async with self.outbox.recording(writes):
            self._apply(writes)
        return NONE_LOST

    async def _older_keys(self, jobs: Collection[str]) -> dict[str, OlderKeys]:
        keys_by_job: dict[str, OlderKeys] = {}
        for name in jobs:
            if keys := self._keys.get(name):
                every = range(min(keys), max(keys) + 1)
                joined = b"".join(keys.get(number, NO_KEY) for number in every)
                keys_by_job[name] = OlderKeys(joined, max(keys))
        return keys_by_job

    async def _write_outbox(self, changes: Changes) -> None:
        """Do nothing: the outbox is in memory only."""

    def _apply(self, writes: Writes) -> None:
        for name, transition in writes:
            self._count(name, transition)
            self._runs.extend((name, run) for run in transition.runs)
            keys = transition.state.run_keys
            for run in reversed(transition.runs):
                self._keys[name][run.number] = keys[-KEY_SIZE:] or NO_KEY
                keys = keys[:-KEY_SIZE]
            self._logs.extend(
                LogRecord(
                    job=name,
                    at=entry.at,
                    run_id=entry.run_id,
                    message=entry.message,
                    metadata=entry.metadata,
                )
                for entry in transition.logs
            )
            for event in transition.alerts:
                if event.key.condition is Condition.SUCCEEDED:
                    continue
                if isinstance(event, AlertOpened):
                    self._open_alert(name, event)
                else:
                    self._change_open(name, event)

    def _count(self, job: str, transition: Transition) -> None:
        figures = [*unpunctual(transition, self._missed.get(job, 0))]
        self._missed[job] = transition.state.missed_total
        figures += [
            (
                day_of(run.finished_at),
                figures_of([FinishedRun(run.outcome, run.finished_at, run.duration)]),
            )
            for run in transition.runs
            if not run.is_retried
        ]
        for day, more in figures:
            before = self._figures.get((job, day), DayFigures())
            self._figures[job, day] = before.plus(more)

    def _open_alert(self, job: str, event: AlertOpened) -> None:
        still_open = {a.key for a in self._alerts if a.job == job and not a.resolved_at}
        if event.alert.key in still_open:
            return
        for place, alert in enumerate(self._alerts):
            same = (alert.job, alert.key) == (job, event.key)
            if same and alert.opened_at == event.alert.opened_at:
                self._alerts[place] = replace(alert, resolved_at=None)
                return
        self._newest_alert += 1
        self._alerts.append(
            AlertRecord(
                id=self._newest_alert,
                job=job,
                key=event.alert.key,
                severity=event.severity,
                summary=event.summary,
                opened_at=event.alert.opened_at,
                resolved_at=None,
                run=event.run,
            )
        )

    def _change_open(self, job: str, event: AlertMoved | AlertResolved) -> None:
        def after(alert: AlertRecord) -> AlertRecord:
            if (alert.job, alert.key, alert.resolved_at) != (job, event.key, None):
                return alert
            if isinstance(event, AlertMoved):
                return replace(alert, opened_at=event.opened_at)
            opened_at = min(alert.opened_at, event.at)
            return replace(alert, resolved_at=event.at, opened_at=opened_at)

        self._alerts = [after(alert) for alert in self._alerts]


def _until(sizes: Iterable[int], size: int | None) -> int | None:
    """Return the number of items up to the one that exceeds *size* in all."""
    for count, total in enumerate(accumulate(sizes), start=1):
        if size is not None and total > size:
            return count
    return None


def _matches(query: AlertFilter, record: AlertRecord) -> bool:
    """Return True if *query* selects *record*."""
    return (
        query.job in {None, record.job}
        and (not query.conditions or record.key.condition in query.conditions)
        and query.severity in {None, record.severity}
        and query.open in {None, record.resolved_at is None}
        and record.opened_at >= query.since
    )


def _stats_of(records: Iterable[AlertRecord], since: float, jobs: int) -> AlertStats:
    """Return the statistics of *records*, all there are: see `Store.alert_stats`."""
    every = [one for one in records if one.key.condition not in BLAMELESS]
    recent = [record for record in every if record.opened_at >= since]
    by_job = Counter(record.job for record in recent)
    most = sorted(by_job.items(), key=lambda one: (-one[1], one[0]))
    lasted = [
        record.resolved_at - record.opened_at
        for record in recent
        if record.resolved_at is not None
    ]
    return AlertStats(
        counts=Counter(
            (record.key.condition, record.severity, record.resolved_at is None)
            for record in recent
        ),
        jobs=tuple(most[:jobs]),
        mean=statistics.fmean(lasted) if lasted else None,
        median=statistics.median(lasted) if lasted else None,
        open_now=sum(record.resolved_at is None for record in every),
    )
