"""The life of one job: its runs, their reports, and the actions of users."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tests.simulation.settings import DAY, HOUR, MINUTE, YEAR, Job
from tests.simulation.world import Act, Daemon, Event, Report


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
    """The life of one job."""

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
        #: Between two reports from a spool; without one they are a batch.
        self.pause = rng.choice((0.0, 0.01))
        if not self.named:
            # Attempts belong together by their ids.
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

    def events(self) -> list[Event]:
        """Return actions, and reports at the times when they arrive."""
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
            # The timer that starts runs does not know.
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
        at = self.begin
        while (at := at + rng.expovariate(3 / YEAR)) < self.end:
            acts += self._changes(at)
        return acts

    def _changes(self, at: float) -> list[Act]:
        """Return other settings of the job, and the end of them."""
        factors = (1.0, 0.3, 3.0, 10.0)
        grace, longest = self.rng.choice(factors), self.rng.choice(factors)
        begin = self._reachable(at)
        end = self._reachable(begin + math.exp(self.rng.uniform(5, 13)))
        name = self.job.name
        return [
            Act(begin, name, "change", grace=grace, max_runtime=longest),
            Act(end, name, "change", grace=1 / grace, max_runtime=1 / longest),
        ]

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
                waits += self.pause
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
