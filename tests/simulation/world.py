"""Jobs with random settings, and what happens to them and to the daemon.

A story is made from a seed alone and knows nothing of the product. All its instants are
true time, in Unix seconds; the daemon's clock may show another one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from tests.simulation.crons import Crontab

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
YEAR: Final = 365 * DAY

#: 2026-02-20: clocks of the north and of the south change within the next 45 days.
BEGIN: Final = 1_771_545_600.0

#: Jobs of one daemon.
GROUP: Final = 20

#: Reports for a job without alerts, by which a daemon notices what it cannot store.
CANARY: Final = "canary"

ZONES: Final = (
    "UTC",
    "Europe/Riga",
    "Europe/London",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
)
#: The more often a job runs, the fewer there are of its kind.
RARE: Final = ("*/10 * * * *", "*/15 * * * *", "*/20 8-18 * * 1-5")
OFTEN: Final = (
    "7,37 * * * *",
    "*/45 * * * *",
    "0 * * * *",
    "15 * * * *",
    "@hourly",
    "0 9-17 * * mon-fri",
    "0 */2 * * *",
    "30 */3 * * *",
    "0 */4 * * *",
    "15,45 0-3 * * *",
)
SELDOM: Final = (
    "0 */6 * * *",
    "5 */8 * * *",
    "45 1,13 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "30 1 * * *",
    "0 0 * * *",
    "15 3 * * *",
    "0 12 * * 1-5",
    "30 23 * * 5",
    "0 6 * * mon",
    "0 3 * * 0",
    "0 5 1,15 * *",
    "0 7 */2 * *",
    "0 0 */2 * 1",
    "0 3 1-7 * 1",
    "@daily",
    "@weekly",
)


@dataclass(frozen=True)
class Ratio:
    below: float
    over: float
    min_runs: int


@dataclass(frozen=True)
class Slower:
    factor: float
    than: str
    over: float
    min_runs: int


@dataclass(frozen=True)
class Requires:
    job: str
    success: bool


@dataclass(frozen=True)
class Job:
    """The settings of a job."""

    name: str
    schedule: Crontab | None = None
    every: float | None = None
    grace: float = 300.0
    early: float = 60.0
    max_runtime: float | None = None
    #: How often a run is tried; its reports say so.
    max_attempts: int | None = None
    heartbeat: float | None = None
    after_failures: int = 1
    recover_after: int = 1
    ratio: Ratio | None = None
    slower: Slower | None = None
    max_open: int | None = None
    requires: tuple[Requires, ...] = ()
    after_downtime: float | None = None
    #: Whether each of its runs must have processed rows.
    has_rule: bool = False

    @property
    def period(self) -> float:
        """The usual time between two runs."""
        if self.every is not None:
            return self.every
        if self.schedule is None:
            return 6 * HOUR
        gaps, slot = [], self.schedule.after(BEGIN)
        for _ in range(8):
            slot, before = self.schedule.after(slot), slot
            gaps.append(slot - before)
        return min(gaps)


@dataclass(frozen=True)
class Report:
    """What a job reports, when it arrives at the daemon."""

    at: float
    job: str
    #: "start", "finish" or "progress".
    kind: str
    run_id: str | None = None
    outcome: str = "ok"
    started_at: float | None = None
    ended_at: float | None = None
    duration: float | None = None
    #: None where the metric is not reported.
    rows: float | None = 100.0
    attempt: int = 1
    max_attempts: int | None = None
    #: Equal for reports that are equal in every word.
    mark: int = 0


@dataclass(frozen=True)
class Act:
    """What a user does to a job: pause, resume, disable, enable."""

    at: float
    job: str
    what: str
    #: How long it is paused, or None until it is resumed.
    seconds: float | None = None
    on_ping: bool = False


@dataclass(frozen=True)
class Outage:
    """A time in which the daemon is stopped, suspended or cannot store anything."""

    at: float
    end: float
    #: "stop", "suspend" or "refuse".
    kind: str


@dataclass(frozen=True)
class Step:
    """The clock of the daemon is set."""

    at: float
    seconds: float


Event = Report | Act | Outage | Step


@dataclass
class Daemon:
    """What happens to the daemon of some jobs."""

    outages: list[Outage] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def down_until(self, at: float) -> float:
        """Return until when no report arrives at that time; 0 if one does."""
        place = bisect_right(self.outages, at, key=lambda one: one.at) - 1
        if place >= 0 and at <= self.outages[place].end:
            return self.outages[place].end
        return 0.0

    def step_in(self, outage: Outage) -> float:
        """Return by how much the clock is set while the daemon is down."""
        steps = (one for one in self.steps if outage.at < one.at < outage.end)
        return sum(one.seconds for one in steps)


@dataclass
class Story:
    """Some jobs, their daemon, and all that happens."""

    name: str
    begin: float
    end: float
    jobs: list[Job]
    daemon: Daemon
    #: In order of time.
    events: list[Event]


@dataclass(frozen=True)
class Size:
    """The size of a simulation."""

    jobs: int
    days: float
    #: How often things go wrong, compared with a simulation of a year.
    trouble: float = 1.0


def stories(seed: int, size: Size) -> list[str]:
    """Return the names of the stories of *seed*."""
    count = math.ceil(size.jobs / GROUP)
    return [f"{seed}-{number}" for number in range(count)]


def story(name: str, size: Size) -> Story:
    """Return the story of this name."""
    seed, _, number = name.partition("-")
    count = min(GROUP, size.jobs - GROUP * int(number))
    rng = Random(f"story {seed} {number}")
    begin = BEGIN + rng.random()
    end = begin + size.days * DAY
    daemon = _daemon(rng, begin, end, size.trouble)
    jobs: list[Job] = []
    events: list[Event] = [*daemon.outages, *daemon.steps]
    bad: dict[str, list[tuple[float, bool]]] = {}
    for place in range(count):
        job = _job(Random(f"job {seed} {number} {place}"), f"{name}-{place}", jobs)
        life = Life(
            Random(f"life {seed} {number} {place}"),
            job,
            daemon,
            begin,
            end,
            size.trouble,
            bad,
        )
        job = life.job
        jobs.append(job)
        events += life.told()
        bad[job.name] = life.ends
    events = [one for one in events if one.at < end]
    events.sort(key=lambda one: one.at)
    return Story(name, begin, end, jobs, daemon, events)


def _daemon(rng: Random, begin: float, end: float, trouble: float) -> Daemon:
    daemon = Daemon()
    at = begin
    rate = YEAR / 60 / trouble
    while (at := at + rng.expovariate(1 / rate) + 30) < end:
        kind = rng.choices(("stop", "suspend", "refuse"), (3, 2, 1))[0]
        longest = 2 * HOUR if kind == "suspend" else DAY
        lasts = rng.choice((rng.uniform(1, 5), math.exp(rng.uniform(1.7, 11.4))))
        if kind != "stop":
            lasts = max(lasts, 6.0)
        lasts = min(lasts, longest)
        daemon.outages.append(Outage(at, at + lasts, kind))
        at += lasts
        if rng.random() < 0.15:
            # Another one before the first has settled.
            at += rng.uniform(5, 250)
            kind = rng.choice(("stop", "suspend"))
            daemon.outages.append(Outage(at, at + rng.uniform(6, 400), kind))
            at = daemon.outages[-1].end
    if rng.random() < 0.5:
        _steps(rng, daemon, begin, end, trouble)
    return daemon


def _steps(
    rng: Random, daemon: Daemon, begin: float, end: float, trouble: float
) -> None:
    """Have the clock of *daemon* set now and then, and corrected a while later."""
    at = begin + HOUR
    stops = [one for one in daemon.outages if one.kind == "stop"]
    while (at := at + rng.expovariate(8 * trouble / YEAR)) < end:
        size = rng.choice(
            (
                rng.uniform(1.5, 30),
                50 * MINUTE,
                rng.uniform(1, 10) * HOUR,
                400 * DAY,
            )
        )
        size *= rng.choice((1, 1, -1))
        longest = 6 * HOUR if size > YEAR else 2 * DAY
        until = at + math.exp(rng.uniform(math.log(20), math.log(longest)))
        for moment, seconds in ((at, size), (until, -size)):
            moments = [moment]
            if rng.random() < 0.3 and stops and abs(size) < YEAR:
                # As a machine does that starts with a wrong clock.
                stop = min(stops, key=lambda one: abs(one.at - moment))
                moments.append((stop.at + stop.end) / 2)
            if down := daemon.down_until(moments[-1]):
                stop = next(one for one in daemon.outages if one.end == down)
                if stop.kind != "stop":
                    moments.append(down + 1 + rng.random())
            daemon.steps.append(Step(moments[-1], seconds))
        at = max(at, *(step.at for step in daemon.steps[-2:]))
    daemon.steps.sort(key=lambda one: one.at)


def _job(rng: Random, name: str, others: list[Job]) -> Job:
    kind = rng.random()
    schedule, every = None, None
    if kind < 0.62:
        often = rng.random()
        choice = RARE if often < 0.01 else OFTEN if often < 0.2 else SELDOM
        schedule = Crontab(rng.choice(choice), rng.choice(ZONES))
    elif kind < 0.95:
        every = rng.choices(
            (900.0, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 604800),
            (1, 1, 2, 6, 6, 6, 6, 6, 3),
        )[0]
        every *= rng.choice((1.0, 1.0, 1.1))
    job = Job(name, schedule=schedule, every=every)
    period = job.period
    grace = rng.choice((15.0, 60.0, 300.0, 300.0, 1800.0, 7200.0, period * 1.5))
    max_runtime = None
    if rng.random() < 0.55:
        max_runtime = rng.choice((0.02, 0.1, 0.3, 0.8, 1.6)) * min(period, DAY)
    slower = None
    if rng.random() < 0.25:
        over = rng.choice((7 * DAY, 14 * DAY, 30 * DAY))
        than = rng.choice(("median", "mean"))
        slower = Slower(rng.choice((1.5, 2.0, 4.0)), than, over, rng.choice((1, 3, 10)))
    ratio = None
    if rng.random() < 0.3:
        below = rng.choice((0.5, 0.8, 0.9, 0.95))
        over = rng.choice((DAY, 7 * DAY, 7 * DAY, 14 * DAY, 24 * DAY))
        over = min(max(over, 4 * period), 24 * DAY)
        ratio = Ratio(below, over, rng.choice((1, 3, 5)))
    requires: tuple[Requires, ...] = ()
    if others and rng.random() < 0.25:
        chosen = rng.sample(others, min(len(others), rng.choice((1, 1, 2))))
        requires = tuple(Requires(one.name, rng.random() < 0.75) for one in chosen)
    return replace(
        job,
        grace=min(grace, 3 * period),
        early=rng.choice((60.0, 60.0, 60.0, 0.0, 5.0, 300.0)),
        max_runtime=max_runtime,
        after_failures=rng.choice((1, 1, 1, 2, 3)),
        recover_after=rng.choice((1, 1, 1, 2, 3)),
        ratio=ratio,
        slower=slower,
        max_attempts=rng.choice((None, None, None, 2, 3)),
        max_open=rng.choice((None, None, None, 1, 2)),
        requires=requires,
        after_downtime=rng.choice((*[None] * 6, 0.0, rng.uniform(MINUTE, 8 * HOUR))),
        has_rule=rng.random() < 0.4,
    )


@dataclass(frozen=True)
class Run:
    """A run as it really was."""

    begin: float
    lasts: float
    run_id: str | None
    outcome: str = "ok"
    rows: float | None = 100.0
    attempt: int = 1


#: What can happen to a run, and how often compared with each other.
FAULTS: Final = {
    "fail": 6,
    "streak": 2,
    "flap": 2,
    "partial": 1,
    "violated": 3,
    "no_metric": 1,
    "timeout": 1,
    "canceled": 2,
    "skipped": 2,
    "invalid": 1,
    "hang": 3,
    "dead": 3,
    "gap": 3,
    "late": 3,
    "early": 2,
    "twice": 2,
    "start_twice": 1,
    "reversed": 2,
    "lost_finish": 2,
    "lost_start": 1,
    "network": 3,
    "slow": 3,
    "extra": 2,
    "overlap": 1,
    "skewed": 1,
    "silent": 3,
    "tried_again": 4,
    "tried_in_vain": 2,
    "tried_no_more": 2,
}


class Life:
    """All that happens to one job."""

    def __init__(
        self,
        rng: Random,
        job: Job,
        daemon: Daemon,
        begin: float,
        end: float,
        trouble: float,
        upstream: dict[str, list[tuple[float, bool]]],
    ) -> None:
        self.rng = rng
        self.job = job
        self.daemon = daemon
        self.begin = begin
        self.end = end
        self.upstream = upstream
        #: Ends of runs that were really there, and whether they were good.
        self.ends: list[tuple[float, bool]] = []
        period = job.period
        self.usual = math.exp(rng.uniform(math.log(2), math.log(max(4, period / 4))))
        if job.max_runtime is not None:
            self.usual = min(self.usual, job.max_runtime / 3)
        self.named = rng.random() < 0.75
        self.starts = rng.random() < 0.7
        if job.max_runtime is None or not self.starts:
            # Else it would be late each time.
            self.usual = min(self.usual, job.grace / 2)
        self.timed = rng.random() < 0.3
        self.client = rng.choice(("once", "retry", "spool"))
        if not self.named:
            # Which attempts belong together is told by their ids.
            self.job = job = replace(job, max_attempts=None)
        self.by_start = rng.random() < 0.5
        if self.starts and self.usual > 60 and rng.random() < 0.25:
            self.job = job = replace(job, heartbeat=self.usual / 4)
        self.chance = min(0.2, trouble * 110 * period / YEAR)
        #: What is sent, before it is on its way.
        self.sent: list[Report] = []
        self.count = 0
        #: Outcomes that are decided already.
        self.planned: list[str] = []
        self.off: list[tuple[float, float]] = []

    def told(self) -> list[Event]:
        """Return what the daemon is told, and when it arrives."""
        acts = self._acts()
        self._live()
        return [*acts, *self._delivered()]

    # --- Runs ---------------------------------------------------------------------

    def _live(self) -> None:
        rng, job = self.rng, self.job
        at = self.begin + rng.uniform(0, 5)
        if job.every is not None:
            at = self.begin + rng.uniform(0, 1) * job.every
        while True:
            if job.schedule is not None:
                slot = job.schedule.after(at)
                began = slot + rng.uniform(0.2, 3)
            elif job.every is not None:
                slot = began = at
            else:
                slot = began = at + rng.expovariate(1 / job.period)
            if began >= self.end:
                return
            ended, gap = self._run(began)
            at = max(slot, gap)
            if job.every is not None:
                pause = job.every * rng.uniform(0.98, 1.0) + rng.uniform(0, 2)
                pause = pause if self.by_start else job.every
                at = max((began if self.by_start else ended) + pause, ended + 1, gap)

    def _run(self, began: float) -> tuple[float, float]:
        """Let a run happen; return its end, and until when no other one does."""
        rng, job = self.rng, self.job
        lasts = self.usual * rng.uniform(0.8, 1.2)
        outcome, fault = "ok", ""
        if self.planned:
            outcome = self.planned.pop()
        elif rng.random() < self.chance:
            fault = rng.choices([*FAULTS], [*FAULTS.values()])[0]
        elif self._upstream_is_bad(began) and rng.random() < 0.8:
            outcome = rng.choice(("fail", "violated"))
        if fault in {"fail", "partial", "timeout", "canceled", "skipped", "invalid"}:
            outcome = fault
        elif fault == "violated":
            outcome = "violated"
        elif fault == "streak":
            self.planned = ["fail"] * rng.randint(1, 6)
            outcome = "fail"
        elif fault == "flap":
            self.planned = rng.choices(("ok", "fail", "violated"), k=rng.randint(3, 9))
        elif fault == "gap":
            return began, began + rng.uniform(0.5, 5) * job.period
        elif fault == "late":
            began += job.grace * rng.uniform(0.5, 1.5)
        elif fault == "early":
            began -= lasts + rng.uniform(0, 1.2) * max(job.early, 30.0)
        elif fault == "slow":
            lasts *= rng.uniform(2, 8)
        elif fault == "hang":
            lasts = (job.max_runtime or job.period) * rng.uniform(1, 3)
        self.count += 1
        run_id = f"r{self.count}" if self.named else None
        rows: float | None = 100.0
        if outcome == "violated":
            outcome, rows = "ok", 0.0
        if fault == "no_metric":
            rows = None
        run = Run(began, lasts, run_id, outcome, rows)
        if fault.startswith("tried_"):
            run = self._tried(run, fault)
            lasts = run.begin + run.lasts - began
            outcome = run.outcome
        else:
            self._report(run, fault)
        good = outcome == "ok" and rows == 100.0 and fault != "dead"
        self.ends.append((began + lasts, good))
        if fault == "extra":
            extra = began + lasts + rng.uniform(0.05, 0.9) * job.period
            self.count += 1
            run_id = f"r{self.count}" if self.named else None
            self._report(Run(extra, self.usual, run_id), "")
        if fault == "overlap":
            self.count += 1
            run_id = f"r{self.count}" if self.named else None
            self._report(Run(began + lasts / 2, lasts, run_id), "")
        ended = began + lasts
        if fault == "dead" or (fault == "hang" and self.by_start):
            # Whoever starts it does not know.
            return began, 0.0
        return ended, 0.0

    def _tried(self, run: Run, fault: str) -> Run:
        """Report the attempts of *run*, and return the last one."""
        rng, most = self.rng, self.job.max_attempts or 1
        last = rng.randint(1, most)
        if fault == "tried_in_vain":
            last = most
        for attempt in range(1, last + 1):
            failed = attempt < last or fault != "tried_again"
            run = replace(run, outcome="fail" if failed else "ok", attempt=attempt)
            self._report(run, rng.choices(("", "dead", "network"), (20, 1, 1))[0])
            if attempt < last:
                pause = rng.choice((5.0, 60.0, 900.0)) * rng.uniform(0.5, 1)
                run = replace(run, begin=run.begin + run.lasts + pause)
        return run

    def _upstream_is_bad(self, at: float) -> bool:
        for one in self.job.requires:
            ends = self.upstream[one.job]
            place = bisect_right(ends, (at, True)) - 1
            if place >= 0 and not ends[place][1]:
                return True
        return False

    def _report(self, run: Run, fault: str) -> None:
        rng = self.rng
        ended = run.begin + run.lasts
        timed = self.timed or self.client == "spool"
        self.count += 1
        start = Report(
            run.begin,
            self.job.name,
            "start",
            run.run_id,
            started_at=run.begin if timed else None,
            attempt=run.attempt,
            max_attempts=self.job.max_attempts,
            mark=self.count * 2,
        )
        finish = Report(
            ended,
            self.job.name,
            "finish",
            run.run_id,
            outcome=run.outcome,
            started_at=run.begin if timed and not self.starts else None,
            ended_at=ended if timed else None,
            duration=None if self.starts else run.lasts,
            rows=run.rows,
            attempt=run.attempt,
            max_attempts=self.job.max_attempts,
            mark=self.count * 2 + 1,
        )
        if run.outcome == "invalid":
            finish = replace(
                finish, run_id=None, started_at=None, ended_at=None, duration=None
            )
            finish = replace(finish, attempt=1, max_attempts=None)
        sends = [finish]
        if self.starts and run.outcome != "skipped" and fault != "lost_start":
            sends.insert(0, start)
        if self.job.heartbeat is not None:
            sends[-1:-1] = self._signs(run, fault)
        if fault in {"dead", "lost_finish"}:
            sends = sends[:-1]
        elif fault == "twice":
            sends.append(replace(finish, at=ended + rng.uniform(0.1, 15)))
        elif fault == "start_twice":
            sends.append(replace(start, at=run.begin + min(run.lasts / 2, 3)))
        elif fault == "reversed":
            sends = [replace(one, at=ended + rng.uniform(0, 5)) for one in sends]
        elif fault == "skewed":
            ahead = rng.choice((1.0, 30.0, -30.0, -600.0))
            sends[-1] = replace(finish, ended_at=ended + ahead, started_at=None)
        elif fault == "network":
            away = rng.uniform(10, 3 * self.job.period)
            self.off.append((ended - rng.uniform(0, run.lasts), ended + away))
        self.sent += sends

    def _signs(self, run: Run, fault: str) -> list[Report]:
        """Return the signs of life of *run*."""
        pause = (self.job.heartbeat or 0.0) * 0.7
        lasts = run.lasts
        if fault in {"silent", "hang", "dead"}:
            lasts *= self.rng.random()
        signs = []
        for number in range(1, min(12, int(lasts / pause)) + 1):
            at = run.begin + number * pause * self.rng.uniform(0.95, 1.0)
            self.count += 1
            mark = self.count * 2
            sign = Report(at, self.job.name, "progress", run.run_id, mark=mark)
            most = self.job.max_attempts
            sign = replace(sign, attempt=run.attempt, max_attempts=most, rows=None)
            signs.append(sign)
        return signs

    # --- Users --------------------------------------------------------------------

    def _acts(self) -> list[Act]:
        rng, name = self.rng, self.job.name
        acts: list[Act] = []
        at = self.begin
        while (at := at + rng.expovariate(4 / YEAR) + HOUR) < self.end:
            lasts = math.exp(rng.uniform(math.log(10 * MINUTE), math.log(4 * DAY)))
            kind = rng.random()
            begin, end = self._reachable(at), self._reachable(at + lasts)
            if end <= begin:
                continue
            if kind < 0.3:
                acts += [
                    Act(begin, name, "disable"),
                    Act(end, name, "enable"),
                ]
            elif kind < 0.5:
                acts.append(Act(begin, name, "pause", seconds=lasts))
                end = begin + lasts
            else:
                on_ping = kind > 0.8
                acts += [
                    Act(begin, name, "pause", on_ping=on_ping),
                    Act(end, name, "resume"),
                ]
            at = end
        return acts

    def _reachable(self, at: float) -> float:
        down = self.daemon.down_until(at)
        return down + 3 + self.rng.uniform(0, 5) if down else at

    # --- The way to the daemon ----------------------------------------------------

    def _away_until(self, at: float) -> float:
        """Return until when a report of that time does not arrive; 0 if it does."""
        until = self.daemon.down_until(at)
        for begin, end in self.off:
            if begin <= at <= end:
                until = max(until, end)
        return until

    def _delivered(self) -> list[Report]:
        rng = self.rng
        arrived: list[Report] = []
        waits = 0.0
        self.off.sort()
        for report in sorted(self.sent, key=lambda one: one.at):
            at = report.at + rng.uniform(0.001, 0.05)
            if self.client == "spool" and at <= waits:
                # In its turn.
                waits += 0.01
                while away := self._away_until(waits):
                    waits = away + rng.uniform(0.1, 60)
                arrived.append(replace(report, at=waits))
                continue
            if not self._away_until(at):
                arrived.append(replace(report, at=at))
            elif self.client == "spool":
                while away := self._away_until(at):
                    at = away + rng.choice((rng.uniform(0.1, 60), rng.uniform(1, 900)))
                waits = at
                arrived.append(replace(report, at=at))
            elif self.client == "retry":
                for pause in (15, 30, 60, 120, 240):
                    at += pause * rng.uniform(0.8, 1.2)
                    if not self._away_until(at):
                        arrived.append(replace(report, at=at))
                        break
        return sorted(arrived, key=lambda one: one.at)
