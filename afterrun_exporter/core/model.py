"""The domain model: jobs, pings and runs.

All values are frozen. All instants are Unix seconds, all durations seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field

from afterrun_exporter.core.outcome_metrics import Push, PushSettings
from afterrun_exporter.core.rules import Rule, Violation
from afterrun_exporter.core.schedule import Schedule

JOB_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

#: A UUID as written in URLs.
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


def nothing() -> Mapping[str, float]:
    """Return an empty mapping of metrics."""
    # Shared by all: most jobs have no metrics in most places.
    return _NOTHING


class Kind(StrEnum):
    """The event of a run that a ping reports."""

    START = "start"
    FINISH = "finish"
    PROGRESS = "progress"
    LOG = "log"


class Outcome(StrEnum):
    """The outcome of a run. Only `OK` is healthy."""

    OK = "ok"
    FAIL = "fail"
    VIOLATED = "violated"
    PARTIAL = "partial"
    TIMEOUT = "timeout"
    CANCELED = "canceled"
    INVALID = "invalid"
    #: Nothing had to be done: the run covers its slot, and changes no status.
    SKIPPED = "skipped"


#: Outcomes that make a job *failing*. A violated rule has its own alert.
FAILURES: Final = frozenset(
    {Outcome.FAIL, Outcome.PARTIAL, Outcome.TIMEOUT, Outcome.INVALID}
)


#: Outcomes that schedulers retry. A partial run has a result, and whether an
#: unreadable report is followed by another attempt is unknown.
RETRIED: Final = frozenset({Outcome.FAIL, Outcome.TIMEOUT})


#: Outcomes that change no status: the job neither fails nor recovers.
NEUTRAL: Final = frozenset({Outcome.CANCELED, Outcome.SKIPPED})


class Condition(StrEnum):
    """A problem of a job; each is one alert."""

    MISSED = "missed"
    FAILING = "failing"
    VIOLATED = "violated"
    OVERRUNNING = "overrunning"
    OVERLAPPING = "overlapping"
    SLOW = "slow"
    SUCCESS_RATIO_LOW = "success_ratio_low"
    #: Holds back other alerts of the job; it is never sent.
    UPSTREAM_UNHEALTHY = "upstream_unhealthy"
    #: A client requested a test alert.
    TEST = "test"
    #: A run ended ok, and a receiver is notified of that.
    SUCCEEDED = "succeeded"


#: Conditions that are no problem of the job itself.
BLAMELESS: Final = frozenset(
    {Condition.UPSTREAM_UNHEALTHY, Condition.TEST, Condition.SUCCEEDED}
)


#: Conditions whose alerts routes can match; the others have the severity "none".
ROUTED: Final = tuple(
    one
    for one in Condition
    if one not in {Condition.UPSTREAM_UNHEALTHY, Condition.SUCCEEDED}
)


class Settings(Struct, frozen=True, kw_only=True, gc=False):
    """Settings that apply to all jobs."""

    #: Equal reports without an id are one report within this time.
    dedup_window: float = 10.0
    #: Minimum time that a condition is visible, even if resolved sooner.
    min_visible: float = 60.0
    #: Maximum of metrics to keep of one job.
    metrics_per_job: int = 50
    #: Maximum of finished runs to keep of one job, and so in a window.
    runs_per_job: int = 1000
    #: The last period in which no report could arrive (core/downtimes.py): its start,
    #: its end, and the time by which clients have had time to retry. The daemon was
    #: down, suspended or could not store anything, or the clock leapt. Without one, all
    #: are -inf.
    down_since: float = -math.inf
    up_since: float = -math.inf
    settled_at: float = -math.inf


class SuccessRatio(Struct, frozen=True, kw_only=True, gc=False):
    """The minimum share of ok runs."""

    #: The share from 0 to 1 below which an alert opens.
    below: float
    #: The length of the window in seconds.
    over: float
    #: The minimum of runs in the window for an alert.
    min_runs: int = 1


class Average(StrEnum):
    """The average that defines the usual duration of a job."""

    MEDIAN = "median"
    MEAN = "mean"


class SlowerThan(Struct, frozen=True, kw_only=True, gc=False):
    """The limit of a run's duration, relative to the usual one."""

    factor: float
    than: Average = Average.MEDIAN
    #: The length of the window of ok runs in seconds.
    over: float
    #: The minimum of ok runs in the window for an alert.
    min_runs: int = 3


class Concurrency(Struct, frozen=True, kw_only=True, gc=False):
    """The limit of simultaneously open runs of a job."""

    max: int
    #: A key of the runs' metadata: `max` applies to each of its values.
    by: str | None = None


class Dependency(Struct, frozen=True, gc=False):
    """A job that another job depends on."""

    job: str
    #: True if the other job's alerts are held back while this one is unhealthy; False
    #: if only while it has not ended in time.
    requires_success: bool = True


class Job(Struct, frozen=True, kw_only=True, gc=False):
    """A job, as described by the configuration or registered by its first ping."""

    name: str
    schedule: Schedule | None = None
    #: The tolerance for the end of a run, in seconds.
    grace: float = 300.0
    #: The tolerance for an end before its slot, in seconds.
    early: float = 60.0
    #: The time limit of a run, from start to finish.
    max_runtime: float | None = None
    #: The number of attempts, unless the reports have it.
    max_attempts: int | None = None
    #: The longest silence of an open run that sends heartbeats.
    heartbeat: float | None = None
    #: True if each heartbeat restarts `max_runtime`: the client set that, and its
    #: protocol defines it so.
    renews_runtime: bool = False
    rules: tuple[Rule, ...] = ()
    #: Consecutive bad runs before the job counts as failing.
    after_failures: int = 1
    #: Consecutive ok runs before a failing job counts as ok again.
    recover_after: int = 1
    success_ratio: SuccessRatio | None = None
    slower_than: SlowerThan | None = None
    concurrency: Concurrency | None = None
    depends_on: tuple[Dependency, ...] = ()
    #: True if Prometheus gets alerting rules for this job alone.
    dedicated: bool = False
    #: True if its pushed metrics are exposed under their own names.
    exposes_pushes: bool = False
    #: The meaning of its pushes, if configured.
    push: PushSettings | None = None
    #: Seconds after a downtime until runs that were due in it count as missed; None if
    #: the next run decides instead.
    after_downtime: float | None = None
    enabled: bool = True
    severity: str = "warning"
    #: Severities of alerts on some conditions, in place of that one.
    severities: tuple[tuple[Condition, str], ...] = ()
    #: Declared label keys and their values, in declaration order.
    labels: tuple[tuple[str, str], ...] = ()
    project: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    runbook_url: str = ""
    #: An alternative name for pings, a UUID; "" for none.
    ping_uuid: str = ""
    #: True if it is in the configuration; False if a ping registered it.
    configured: bool = True
    #: The name for people, if it is not a valid job name; "" for none.
    display_name: str = ""
    #: The schedule in its state, while another replica may expect its runs by that; None
    #: if its own schedule applies. No runs are expected here meanwhile.
    foreign_schedule: str | None = None


class Ping(Struct, frozen=True, kw_only=True, gc=False):
    """One readable report."""

    job: str
    kind: Kind
    #: The time of its arrival.
    at: float
    #: The outcome of a finished run.
    outcome: Outcome = Outcome.OK
    run_id: str | None = None
    attempt: int = 1
    #: True if the report has an attempt number.
    has_attempt: bool = False
    max_attempts: int | None = None
    #: Start and end of the run, if reported.
    started_at: float | None = None
    ended_at: float | None = None
    duration: float | None = None
    metrics: Mapping[str, float] = field(default_factory=nothing)
    #: True if the metrics are added to those reported before, instead of replacing
    #: them.
    adds: bool = False
    #: True if another start of an open run is a heartbeat, not a repeat.
    keeps_alive: bool = False
    #: Seconds until the next heartbeat of the run, if it sends one.
    heartbeat: float | None = None
    message: str = ""
    exit_code: int | None = None
    #: A JSON object, kept as text.
    metadata: str = ""
    #: Equal only for identical bodies from the same sender.
    fingerprint: bytes = b""
    #: Problems of the report that did not make it unreadable.
    warnings: tuple[str, ...] = ()
    #: The signs in a push of metrics: they and the state decide kind and outcome.
    push: Push | None = None
    #: The time limit of the run that it starts, in seconds.
    max_runtime: float | None = None
    #: True for a run of the past: it opens no alerts.
    history: bool = False

    @property
    def is_numbered(self) -> bool:
        """True if it has the attempt number of its run."""
        return self.has_attempt or self.attempt > 1


def is_to_be_retried(attempt: int, max_attempts: int | None, outcome: str) -> bool:
    """Return True for a failed attempt of a run that will be followed by another one.

    It is not a run yet: it is recorded and shown, but changes no status.
    """
    return max_attempts is not None and attempt < max_attempts and outcome in RETRIED


class Run(Struct, frozen=True, kw_only=True, gc=False):
    """A finished run with its result, or a failed attempt of a run."""

    #: The number among the finished runs and failed attempts of a job, from 1.
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
    metrics: Mapping[str, float] = field(default_factory=nothing)
    violations: tuple[Violation, ...] = ()
    message: str = ""
    metadata: str = ""
    #: The commit of the configuration that judged it, "" if it was in none.
    config_commit: str = ""

    @property
    def is_retried(self) -> bool:
        """True if it is an attempt to be followed by another one."""
        return is_to_be_retried(self.attempt, self.max_attempts, self.outcome)

    @property
    def size(self) -> int:
        """The number of characters of its texts, which may be a million."""
        return len(self.message) + len(self.metadata)
