"""A job, a night and a few pings, as many tests need them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

from afterrun_exporter.core.backtest import Backtest
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Run, Settings
from afterrun_exporter.core.rules import Rule, parse_rule
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.timestamps import format_time, parse_time
from afterrun_exporter.core.transitions import on_clock, on_ping, registered
from afterrun_exporter.core.upstream import Required
from tests.copies import replace

SETTINGS = Settings()

BACKUP = Job(
    name="backup",
    schedule=parse_cron("0 2 * * *", "UTC"),
    grace=1800,
    rules=(parse_rule("rows > 0"), parse_rule("size > 1KiB")),
)

#: What a good run of the backup reports.
GOOD = {"rows": 120.0, "size": 48211.0}


def at(text: str) -> float:
    """Return an instant of the tests' days: ``"22 02:30"`` is in November 2026."""
    day, time = text.split()
    return parse_time(f"2026-11-{day}T{time}{':00' if time.count(':') == 1 else ''}Z")


def told(instant: float) -> str:
    """Return *instant* the way `at` reads it."""
    return format_time(instant)[8:19].replace("T", " ")


def ping(when: str, kind: Kind = Kind.FINISH, **more: Any) -> Ping:
    """Return a ping of the backup; a finish reports `GOOD` unless told otherwise."""
    metrics = GOOD if kind is Kind.FINISH else {}
    made = Ping(job="backup", kind=kind, at=at(when), metrics=metrics)
    # Two pings of a test are two reports, unless it says that they are one.
    more.setdefault("fingerprint", repr((when, kind, sorted(more))).encode())
    return replace(made, **more)


class Night:
    """A job through a night: what it is told, and what comes of it."""

    def __init__(
        self,
        job: Job = BACKUP,
        known: str = "21 12:00",
        settings: Settings = SETTINGS,
        required: tuple[Required, ...] = (),
    ) -> None:
        self.job = job
        #: How the jobs are doing that this one requires.
        self.required = required
        self.settings = settings
        self.state: JobState = registered(job, at(known))
        self.alerts: list[Any] = []
        self.runs: list[Any] = []
        self.logs: list[Any] = []
        self.last: Any = None

    def ping(self, when: str, kind: Kind = Kind.FINISH, **more: Any) -> Self:
        """Report to the job."""
        self._take(
            on_ping(
                self.job,
                self.state,
                ping(when, kind, **more),
                self.settings,
                self.required,
            )
        )
        return self

    def start(self, when: str, **more: Any) -> Self:
        return self.ping(when, Kind.START, **more)

    def fail(self, when: str, **more: Any) -> Self:
        return self.ping(when, outcome=Outcome.FAIL, **more)

    def clock(self, when: str) -> Self:
        """Let the sweeper look at the job."""
        self._take(
            on_clock(self.job, self.state, at(when), self.settings, self.required)
        )
        return self

    @property
    def outcomes(self) -> list[str]:
        """The outcomes of all runs so far."""
        return [run.outcome.value for run in self.runs]

    @property
    def open(self) -> list[str]:
        """The conditions that hold, rules by their name."""
        return sorted(a.key.rule or a.key.condition.value for a in self.state.alerts)

    def _take(self, transition: Any) -> None:
        self.last = transition
        self.state = transition.state
        self.alerts += transition.alerts
        self.runs += transition.runs
        self.logs += transition.logs


def tried(
    rules: Sequence[Rule], runs: Iterable[Run], since: float = -math.inf
) -> Backtest:
    """Return the backtest of *rules* on *runs*, the oldest first."""
    result = Backtest(rules, since)
    for run in runs:
        result.add(run)
    return result
