"""What we think in: jobs, pings, runs and what is remembered of a job.

All values are frozen. All instants are Unix seconds, all durations seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from afterrun_exporter.core.rules import Rule, Violation
from afterrun_exporter.core.schedule import Schedule

JOB_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


def _nothing() -> Mapping[str, float]:
    # One for all: most jobs have nothing in most places.
    return _NOTHING


class Kind(StrEnum):
    """What a ping says has happened to a run."""

    START = "start"
    FINISH = "finish"
    PROGRESS = "progress"
    LOG = "log"


class Outcome(StrEnum):
    """How a run ended. Healthy is `OK` alone."""

    OK = "ok"
    FAIL = "fail"
    VIOLATED = "violated"
    PARTIAL = "partial"
    TIMEOUT = "timeout"
    CANCELED = "canceled"
    INVALID = "invalid"


#: Outcomes that make a job *failing*. A violated rule has an alert of its own.
FAILURES: Final = frozenset(
    {Outcome.FAIL, Outcome.PARTIAL, Outcome.TIMEOUT, Outcome.INVALID}
)


class Condition(StrEnum):
    """What can be wrong with a job; each is one alert."""

    MISSED = "missed"
    FAILING = "failing"
    VIOLATED = "violated"
    OVERRUNNING = "overrunning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the judgement of every job depends on."""

    #: Identical reports without an id within this time are one report.
    dedup_window: float = 10.0
    #: How long an opened condition shows at least, even when healed sooner.
    min_visible: float = 60.0
    #: Distinct metrics that are kept of one job.
    metrics_per_job: int = 50
    #: Deadlines before this instant are judged at it: nobody could report
    #: while the daemon was down, and clients need a while to try again.
    settled_at: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the configuration describes it, or as its first ping did."""

    name: str
    schedule: Schedule | None = None
    #: How late a run may finish.
    grace: float = 300.0
    #: How long before its slot a finish may come and still count for it.
    early: float = 60.0
    #: How long a run may take from start to finish.
    max_runtime: float | None = None
    rules: tuple[Rule, ...] = ()
    #: Consecutive bad runs before the job counts as failing.
    after_failures: int = 1
    enabled: bool = True
    severity: str = "warning"
    #: Declared label keys and their values, in the order they were declared.
    labels: tuple[tuple[str, str], ...] = ()
    project: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    runbook_url: str = ""
    #: Whether the configuration names it; if not, a ping registered it.
    configured: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """One readable report, as it was received."""

    job: str
    kind: Kind
    #: When we received it.
    at: float
    #: How the run ended, for a finish.
    outcome: Outcome = Outcome.OK
    run_id: str | None = None
    attempt: int = 1
    max_attempts: int | None = None
    #: When the run started and ended, where the report says so.
    started_at: float | None = None
    ended_at: float | None = None
    duration: float | None = None
    metrics: Mapping[str, float] = field(default_factory=_nothing)
    message: str = ""
    exit_code: int | None = None
    #: A JSON object, kept as text.
    metadata: str = ""
    #: Equal for identical bodies from the same sender, and for those alone.
    fingerprint: bytes = b""
    #: What was wrong with the report without making it unreadable.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that started and has not finished."""

    run_id: str | None
    attempt: int
    started_at: float
    #: Values that progress pings reported so far.
    metrics: Mapping[str, float] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that finished, with the judgement of it."""

    #: Counts the finished runs of a job from 1.
    number: int
    run_id: str | None
    attempt: int
    outcome: Outcome
    finished_at: float
    received_at: float
    started_at: float | None = None
    duration: float | None = None
    max_attempts: int | None = None
    exit_code: int | None = None
    metrics: Mapping[str, float] = field(default_factory=_nothing)
    violations: tuple[Violation, ...] = ()
    message: str = ""
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class AlertKey:
    """Names one condition of a job; `rule` only where a rule is broken."""

    condition: Condition
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlert:
    """A condition that holds."""

    key: AlertKey
    #: When it became true, not when we noticed.
    opened_at: float
    #: When it could first be seen.
    shown_at: float
    #: The deadline that passed, for a missed or overrunning job.
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealedAlert:
    """A condition that is over and still shown, so that a scrape can see it."""

    key: AlertKey
    until: float
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A start or finish without a run id, by which a repeat is recognised."""

    fingerprint: bytes
    at: float
    #: The number of the run it finished; 0 for a start.
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What we remember about a job between pings.

    Facts only. What follows from facts and the time of day is computed when
    asked for.
    """

    created_at: float
    #: Slots up to here need no further run: it ran, was paused or unknown.
    due_after: float
    #: Whether the configuration named it when we last looked.
    configured: bool = False
    #: When it left the configuration; None while it is watched.
    retired_at: float | None = None
    #: The schedule that `due_after` and the missed slots belong to.
    schedule: str = ""
    #: Slots up to here are counted in `missed_total`.
    missed_through: float = -math.inf
    #: The deadline that passed first since the job last ran.
    missed_deadline: float | None = None

    last_ping_at: float = 0.0
    last_start_at: float = 0.0
    last_finish_at: float = 0.0
    last_success_at: float = 0.0
    last_failure_at: float = 0.0
    #: Of the last run that was not canceled.
    last_outcome: Outcome | None = None
    last_duration: float | None = None
    consecutive_failures: int = 0
    #: Last value of each reported metric.
    metrics: Mapping[str, float] = field(default_factory=_nothing)
    #: What the last ok run reported, its duration included.
    previous: Mapping[str, float] = field(default_factory=_nothing)
    #: Names of the rules that the last judged run broke.
    violated: tuple[str, ...] = ()

    open_runs: tuple[OpenRun, ...] = ()
    alerts: tuple[OpenAlert, ...] = ()
    healed: tuple[HealedAlert, ...] = ()
    #: Keys of the last finished runs, 8 bytes each, the newest last.
    seen: bytes = b""
    #: Pings without a run id that a repeat may still follow.
    unnamed: tuple[Unnamed, ...] = ()

    runs_total: int = 0
    failures_total: int = 0
    violating_total: int = 0
    missed_total: int = 0
    duplicates_total: int = 0
    duration_sum: float = 0.0
    duration_count: int = 0


@dataclass(frozen=True, slots=True)
class AlertOpened:
    """A condition became true, at `alert.opened_at`."""

    alert: OpenAlert
    severity: str
    #: Why, in words for a person.
    summary: str
    #: The run that broke it; 0 where none did.
    run: int = 0


@dataclass(frozen=True, slots=True)
class AlertResolved:
    """A condition is over."""

    key: AlertKey
    at: float


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a log ping said, or what happened to a run that nobody reported."""

    at: float
    run_id: str | None
    message: str
    metadata: str = ""


AlertEvent = AlertOpened | AlertResolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What one decision comes to; it is stored whole or not at all."""

    state: JobState
    runs: tuple[Run, ...] = ()
    alerts: tuple[AlertEvent, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    #: The run this ping finished, or the number of the one it repeats.
    run: Run | None = None
    duplicate: bool = False
    duplicate_of: int = 0
    warnings: tuple[str, ...] = ()
