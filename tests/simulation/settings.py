"""Jobs with random settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tests.simulation.crons import Crontab

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
YEAR: Final = 365 * DAY

#: 2026-02-20: clocks of the north and of the south change within the next 45 days.
BEGIN: Final = 1_771_545_600.0

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


def random_job(rng: Random, name: str, others: list[Job]) -> Job:
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
