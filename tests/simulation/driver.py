"""The product in a story: the real service on a clock that is turned by hand."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Final

from msgspec.structs import replace as changed

from afterrun_exporter.core import model
from afterrun_exporter.core.duplicates import (
    KEY_SIZE,
    NO_KEY,
    OlderRunsNeededError,
    shortened,
    with_older_keys,
)
from afterrun_exporter.core.history import pack, past
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Kind, Outcome, Ping, Run
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every, Schedule, parse_cron
from afterrun_exporter.core.state import AlertMoved, AlertOpened, JobState, Transition
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import decode_state, encode_state
from afterrun_exporter.storage.store import Change, Decide
from tests.fakes import ManualClock, MemoryStore
from tests.simulation.found import Alerts
from tests.simulation.settings import DAY, Job
from tests.simulation.world import (
    CANARY,
    Act,
    Event,
    Outage,
    Report,
    Step,
    Story,
)

#: How long after the moment that was asked for the daemon wakes.
AFTER: Final = 0.001

#: Wake-ups in one second of a job that make a loop.
TOO_OFTEN: Final = 900

PROBE: Final = 5.0

KEPT_RUNS: Final = 1000

#: Longer than a window and the longest time between two runs.
KEPT_FOR: Final = 90 * DAY


class Disk(MemoryStore):
    """A store that can be full, and from which a new daemon reads all it knows."""

    def __init__(self, alerts: Alerts, before: Disk | None = None) -> None:
        super().__init__()
        self.full = False
        self._staged: dict[str, JobState] = {}
        #: The true time.
        self.now = 0.0
        self.found = alerts
        self.kept: defaultdict[str, deque[Run]] = defaultdict(
            lambda: deque(maxlen=KEPT_RUNS)
        )
        if before is not None:
            self.kept = before.kept
            self._keys = before._keys
            for name, state in before.states.items():
                short = shortened(state)
                read = decode_state(encode_state(short), short.run_keys)
                self._states[name] = read

    def latest(self, job: str) -> JobState | None:
        return self._staged.get(job) or self._states.get(job)

    async def update_all(
        self, changes: Sequence[Change]
    ) -> list[Transition | Exception]:
        if self.full:
            raise StorageError("no space left on device")
        results: list[Transition | Exception] = []
        for job, decide in changes:
            try:
                result = self._decided(job, decide)
            except Exception as error:  # noqa: BLE001 - it is the answer
                results.append(error)
                continue
            results.append(result)
            self._staged[job] = result.state
            self._note(job, result)
        self._states.update(self._staged)
        self._staged.clear()
        return results

    async def probe(self) -> None:
        await self.update_all(())

    def _decided(self, job: str, decide: Decide) -> Transition:
        try:
            return decide(self.latest(job))
        except OlderRunsNeededError:
            keys = self._keys[job]
            every = range(min(keys), max(keys) + 1)
            older = b"".join(keys.get(number, NO_KEY) for number in every)
            for states in (self._states, self._staged):
                if job in states:
                    states[job] = with_older_keys(states[job], older, max(keys))
            return decide(self.latest(job))

    def _note(self, job: str, transition: Transition) -> None:
        keys = transition.state.run_keys
        for run in reversed(transition.runs):
            self._keys[job][run.number] = keys[-KEY_SIZE:] or NO_KEY
            self._keys[job].pop(run.number - KEPT_RUNS, None)
            keys = keys[:-KEY_SIZE]
        self.kept[job].extend(transition.runs)
        for event in transition.alerts:
            name = event.key.condition.value
            if isinstance(event, AlertOpened):
                self.found.open(job, name, event.alert.opened_at, self.now)
            elif isinstance(event, AlertMoved):
                self.found.move(job, name, event.opened_at)
            else:
                self.found.resolve(job, name, event.at, self.now)

    async def histories(
        self,
        reach: Mapping[str, float],
        now: float,  # noqa: ARG002 - more than was asked for will do
        limit: int,
    ) -> dict[str, bytes]:
        return {
            name: pack(filter(None, map(past, [*self.kept[name]][-limit:])))
            for name in reach
        }

    async def prune(
        self,
        before: float,
        runs_per_job: int,  # noqa: ARG002
        reports_before: float | None = None,  # noqa: ARG002
    ) -> int:
        for job, runs in self.kept.items():
            while len(runs) > 1 and runs[0].received_at < before:
                self._keys[job].pop(runs.popleft().number, None)
        return 0


class SpinningError(RuntimeError):
    """Raised where the daemon is asked to wake again and again for nothing."""


class Driver:
    """Lets the real service live through a story."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.alerts = Alerts()
        self.problems: list[str] = []
        self.store = Disk(self.alerts)
        self.offset = 0.0
        self.now = story.begin
        self.clock = ManualClock(story.begin)
        self.jobs = {job.name: product_job(job) for job in story.jobs}
        self.service = self._service()
        self.wakes: deque[float] = deque(maxlen=TOO_OFTEN)

    def _service(self) -> Service:
        canary = model.Job(name=CANARY)
        jobs = {**self.jobs, CANARY: canary}
        return Service(self.store, self.clock, JobConfig(jobs=jobs, keep_for=KEPT_FOR))

    async def run(self) -> Alerts:
        """Return the alerts of the whole story."""
        await self.service.start()
        pruned = self.now
        for (at, is_report), events in groupby(self.story.events, _batch):
            await self._until(at)
            if is_report:
                await self._report([one for one in events if isinstance(one, Report)])
            else:
                for event in events:
                    await self._happens(event)
            if self.now > pruned + DAY:
                await self.service.prune()
                pruned = self.now
        await self._until(self.story.end)
        for job, error in self.service.take_failed_jobs().items():
            self.problems.append(f"{job} cannot be judged: {error!r}")
        return self.alerts

    # --- Time ---------------------------------------------------------------------

    def _show(self, at: float) -> None:
        """Let the time pass until *at*, in which the daemon is awake."""
        self.now = self.store.now = at
        self.clock.show(at + self.offset)

    async def _until(self, at: float) -> None:
        """Let the daemon wake whenever it asked for, until *at*."""
        service = self.service
        while (wake := service._wakeups.next() - self.offset + AFTER) < at:
            wake = max(wake, self.now + AFTER)
            if wake >= at:
                break
            if len(self.wakes) == TOO_OFTEN and self.wakes[0] > wake - 1.0:
                raise SpinningError(f"{service._wakeups._heap[:3]} at {wake}")
            self.wakes.append(wake)
            self._show(wake)
            await self._sweep()
        self._show(max(at, self.now))

    async def _sweep(self) -> None:
        with suppress(StorageError):
            await self.service.sweep()

    # --- Events -------------------------------------------------------------------

    async def _happens(self, event: Event) -> None:
        match event:
            case Act():
                await self._act(event)
            case Step() if event.at < self.now:
                # It happened while the daemon was down.
                pass
            case Step():
                await self._sweep()
                self.offset += event.seconds
                await self.clock.step(event.seconds)
                await self._sweep()
            case Outage(kind="stop"):
                await self._sweep()
                self.offset += self.story.daemon.step_in(event)
                self._show(event.end)
                self.store = Disk(self.alerts, self.store)
                self.store.now = self.now
                self.service = self._service()
                await self.service.start()
            case Outage(kind="suspend"):
                await self._sweep()
                self.now = self.store.now = event.end
                await self.clock.suspend(event.end - event.at)
                await self._sweep()
            case Outage():
                await self._refuse(event)

    async def _report(self, reports: list[Report]) -> None:
        pings = [_ping(report, self.clock.now()) for report in reports]
        if len(pings) == 1:
            await self.service.record(pings[0])
            return
        for answer in await self.service.record_all(pings):
            if isinstance(answer, Exception):
                self.problems.append(f"{reports[0]} is not taken: {answer!r}")

    async def _act(self, act: Act) -> None:
        job_admin = JobAdmin(self.service, self.clock)
        match act.what:
            case "pause":
                until = None
                if act.seconds is not None:
                    until = self.clock.now() + act.seconds
                await job_admin.pause(act.job, until, resumes_on_ping=act.on_ping)
            case "resume":
                await job_admin.resume(act.job)
            case "change":
                job = self.jobs[act.job]
                grace, longest = act.changed(job.grace, job.max_runtime)
                job = changed(job, grace=grace, max_runtime=longest)
                await self._reload(job)
            case _:
                enabled = act.what == "enable"
                await self._reload(changed(self.jobs[act.job], enabled=enabled))

    async def _reload(self, job: model.Job) -> None:
        """Go by another description of *job*."""
        self.jobs[job.name] = job
        jobs = {**self.jobs, CANARY: model.Job(name=CANARY)}
        await self.service.reconfigure(JobConfig(jobs=jobs, keep_for=KEPT_FOR))

    async def _refuse(self, outage: Outage) -> None:
        await self._sweep()
        self.store.full = True
        canary = Ping(job=CANARY, kind=Kind.FINISH, at=self.clock.now())
        with suppress(StorageError):
            await self.service.record(canary)
        pause = PROBE
        while self.now + pause <= outage.end - PROBE:
            self._show(self.now + pause)
            await self._sweep()
            await self.service.watch()
            pause = min(pause * 1.5, 600.0)
        self._show(outage.end)
        self.store.full = False
        await self.service.watch()
        if self.service.downtimes.is_refusing:
            self.problems.append(f"storage is still refusing at {self.now}")
        await self._sweep()


def product_job(job: Job) -> model.Job:
    """Return *job* as the product has it."""
    schedule: Schedule | None = None
    if job.schedule is not None:
        schedule = parse_cron(job.schedule.expression, job.schedule.zone)
    elif job.every is not None:
        schedule = Every(job.every)
    ratio, slower = None, None
    if job.ratio is not None:
        ratio = model.SuccessRatio(
            below=job.ratio.below, over=job.ratio.over, min_runs=job.ratio.min_runs
        )
    if job.slower is not None:
        slower = model.SlowerThan(
            factor=job.slower.factor,
            than=model.Average(job.slower.than),
            over=job.slower.over,
            min_runs=job.slower.min_runs,
        )
    return model.Job(
        name=job.name,
        schedule=schedule,
        grace=job.grace,
        early=job.early,
        max_runtime=job.max_runtime,
        heartbeat=job.heartbeat,
        after_failures=job.after_failures,
        recover_after=job.recover_after,
        success_ratio=ratio,
        slower_than=slower,
        concurrency=None
        if job.max_open is None
        else model.Concurrency(max=job.max_open),
        depends_on=tuple(
            model.Dependency(one.job, one.success) for one in job.requires
        ),
        after_downtime=job.after_downtime,
        rules=(parse_rule("rows > 0"),) if job.has_rule else (),
    )


def _batch(event: Event) -> tuple[float, bool]:
    """Return a key that is equal for events at the same moment, reports apart."""
    return event.at, isinstance(event, Report)


def _ping(report: Report, now: float) -> Ping:
    return Ping(
        job=report.job,
        kind=Kind(report.kind),
        at=now,
        outcome=Outcome(report.outcome),
        run_id=report.run_id,
        attempt=report.attempt,
        has_attempt=report.max_attempts is not None,
        max_attempts=report.max_attempts,
        started_at=report.started_at,
        ended_at=report.ended_at,
        duration=report.duration,
        metrics={} if report.rows is None else {"rows": report.rows},
        fingerprint=report.mark.to_bytes(8, "big"),
    )
