"""The events of a story: reports, actions of users, and faults of the daemon.

A story is made from a seed alone and knows nothing of the product. All its instants are
true time, in Unix seconds; the daemon's clock may show another one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.simulation.settings import DAY, HOUR, MINUTE, YEAR, Job

#: Reports for a job without alerts, by which a daemon notices what it cannot store.
CANARY: Final = "canary"


@dataclass(frozen=True)
class Report:
    """A report of a job, at the time when it arrives at the daemon."""

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
    """An action of a user: pause, resume, disable, enable, change."""

    at: float
    job: str
    what: str
    #: How long it is paused, or None until it is resumed.
    seconds: float | None = None
    on_ping: bool = False
    #: By what its grace and its `max_runtime` are multiplied.
    grace: float = 1.0
    max_runtime: float = 1.0

    def changed(
        self, grace: float, longest: float | None
    ) -> tuple[float, float | None]:
        """Return the new grace and `max_runtime` of the job that had these."""
        if longest is not None:
            longest *= self.max_runtime
        return grace * self.grace, longest


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
    """The faults of the daemon of some jobs."""

    downtimes: list[Outage] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def down_until(self, at: float) -> float:
        """Return until when no report arrives at that time; 0 if one does."""
        place = bisect_right(self.downtimes, at, key=lambda one: one.at) - 1
        if place >= 0 and at <= self.downtimes[place].end:
            return self.downtimes[place].end
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


def random_daemon(rng: Random, begin: float, end: float, trouble: float) -> Daemon:
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
        daemon.downtimes.append(Outage(at, at + lasts, kind))
        at += lasts
        if rng.random() < 0.15:
            # Another one before the first has settled.
            at += rng.uniform(5, 250)
            kind = rng.choice(("stop", "suspend"))
            daemon.downtimes.append(Outage(at, at + rng.uniform(6, 400), kind))
            at = daemon.downtimes[-1].end
    if rng.random() < 0.5:
        _steps(rng, daemon, begin, end, trouble)
    return daemon


def _steps(
    rng: Random, daemon: Daemon, begin: float, end: float, trouble: float
) -> None:
    """Have the clock of *daemon* set now and then, and corrected a while later."""
    at = begin + HOUR
    stops = [one for one in daemon.downtimes if one.kind == "stop"]
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
                stop = next(one for one in daemon.downtimes if one.end == down)
                if stop.kind != "stop":
                    moments.append(down + 1 + rng.random())
            daemon.steps.append(Step(moments[-1], seconds))
        at = max(at, *(step.at for step in daemon.steps[-2:]))
    daemon.steps.sort(key=lambda one: one.at)
