"""Runs, slots and downtimes, as the oracle knows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tests.simulation.world import Act, Outage, Report, Step

SETTLE: Final = 120.0
#: How long the end of a run whose start is reported late may be on its way.
CLOSE_BEHIND: Final = 30.0

BAD: Final = frozenset({"fail", "partial", "timeout", "invalid"})
NEUTRAL: Final = frozenset({"canceled", "skipped"})
RETRIED: Final = frozenset({"fail", "timeout"})


@dataclass
class Open:
    """A run whose end has not been reported."""

    run_id: str | None
    began: float
    attempt: int = 1
    alive: float = 0.0
    #: When its start was reported, if that was late.
    reported: float = 0.0
    #: The most runs that were open when another one began.
    among: int = 0
    #: Whether it was overrunning while it was watched: then no downtime can have seen
    #: its end in time.
    over: bool = False


@dataclass
class Retry:
    """A run whose last attempt failed, and that waits for the next one."""

    run_id: str | None
    attempt: int
    outcome: str
    begun: float
    started: float | None
    ended: float
    duration: float | None
    until: float = 0.0
    #: Slots up to here are those of this run.
    covers: float = 0.0


@dataclass
class Hung:
    """A run that was given up past its limit."""

    run_id: str | None
    attempt: int
    began: float
    limit: float
    followed_from: float
    decides: bool
    held_until: float = 0.0


@dataclass
class Downtime:
    """The last time in which no report could arrive, on the clock of the daemon."""

    since: float = -math.inf
    until: float = -math.inf
    settled: float = -math.inf

    def had(self, instant: float) -> bool:
        return self.since <= instant <= self.until


@dataclass(frozen=True)
class Due:
    """The next slots of a job that are decided, the time of that, and the verdict."""

    slot: float
    at: float
    through: float
    missed: bool
    #: The deadline of the next slot that is missed then.
    deadline: float


@dataclass(frozen=True)
class Healthy:
    """The open conditions of a required job have changed."""

    at: float
    job: str
    conditions: frozenset[str]


Fact = Report | Act | Outage | Step | Healthy


def held(limit: float, run: Open) -> float:
    """Return until when an alert on *run* waits, as its end may be close behind."""
    return run.reported + CLOSE_BEHIND if limit < run.reported else 0.0


def is_later(run: Open, retry: Retry) -> bool:
    """Return True if *run* is an attempt that *retry* waits for."""
    return run.run_id == retry.run_id and run.attempt > retry.attempt


def is_earlier(run: Open, report: Report) -> bool:
    """Return True if *report* is about a later attempt of *run*."""
    same = run.run_id is not None and run.run_id == report.run_id
    return same and run.attempt < report.attempt


def concludes(report: Report, retry: Retry) -> bool:
    """Return True if *report* is about the run of *retry*, and not about one before."""
    same = report.run_id == retry.run_id
    return same and (report.attempt >= retry.attempt or report.outcome == "invalid")
