"""What we think in: jobs, pings and runs.

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

from afterrun_exporter.core.push_signs import Push, PushSettings
from afterrun_exporter.core.rules import Rule, Violation
from afterrun_exporter.core.schedule import Schedule

JOB_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

#: A UUID, as it is written in URLs.
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


def nothing() -> Mapping[str, float]:
    """Return no metrics."""
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
    #: There was rightly nothing to do: it counts for its slot and judges nothing.
    SKIPPED = "skipped"


#: Outcomes that make a job *failing*. A violated rule has an alert of its own.
FAILURES: Final = frozenset(
    {Outcome.FAIL, Outcome.PARTIAL, Outcome.TIMEOUT, Outcome.INVALID}
)


#: Outcomes after which schedulers try again. A partial run has come to a result, and
#: of an unreadable report nobody can tell whether another attempt will follow it.
RETRIED: Final = frozenset({Outcome.FAIL, Outcome.TIMEOUT})


#: Outcomes that judge nothing: such a run neither fails nor heals its job.
NEUTRAL: Final = frozenset({Outcome.CANCELED, Outcome.SKIPPED})


class Condition(StrEnum):
    """What can be wrong with a job; each is one alert."""

    MISSED = "missed"
    FAILING = "failing"
    VIOLATED = "violated"
    OVERRUNNING = "overrunning"
    OVERLAPPING = "overlapping"
    SLOW = "slow"
    SUCCESS_RATIO_LOW = "success_ratio_low"
    #: Keeps the job's other alerts quiet; nobody is told of it.
    UPSTREAM_UNHEALTHY = "upstream_unhealthy"
    #: Somebody asked for an alert, to see that it arrives.
    TEST = "test"
    #: A run ended ok, and somebody wants to hear of that.
    SUCCEEDED = "succeeded"


#: In these nothing is wrong with the job itself.
BLAMELESS: Final = frozenset(
    {Condition.UPSTREAM_UNHEALTHY, Condition.TEST, Condition.SUCCEEDED}
)


class Settings(Struct, frozen=True, kw_only=True, gc=False):
    """What the judgement of every job depends on."""

    #: Identical reports without an id within this time are one report.
    dedup_window: float = 10.0
    #: How long an opened condition shows at least, even when healed sooner.
    min_visible: float = 60.0
    #: Distinct metrics that are kept of one job.
    metrics_per_job: int = 50
    #: Finished runs that are kept of one job: no window sees more.
    runs_per_job: int = 1000
    #: The last time in which no report could arrive (core/downtimes.py): from when,
    #: until when, and when clients have had time to try again. The daemon was down,
    #: suspended or could not store anything, or the clock leapt. Without one, all are
    #: -inf.
    down_since: float = -math.inf
    up_since: float = -math.inf
    settled_at: float = -math.inf


class SuccessRatio(Struct, frozen=True, kw_only=True, gc=False):
    """The share of ok runs that a job is to keep up."""

    #: Alerts below it: a share from 0 to 1.
    below: float
    #: How far back runs count.
    over: float
    #: With fewer runs in that time nothing is said.
    min_runs: int = 1


class Average(StrEnum):
    """What a job's usual duration is taken for."""

    MEDIAN = "median"
    MEAN = "mean"


class SlowerThan(Struct, frozen=True, kw_only=True, gc=False):
    """How much longer than usual a run may take."""

    factor: float
    than: Average = Average.MEDIAN
    #: How far back ok runs tell what is usual.
    over: float
    #: With fewer of them in that time nothing is said.
    min_runs: int = 3


class Concurrency(Struct, frozen=True, kw_only=True, gc=False):
    """How many runs of a job may be open at once."""

    max: int
    #: A key of the runs' metadata: `max` holds for each of its values.
    by: str | None = None


class Dependency(Struct, frozen=True, gc=False):
    """A job that another one builds on."""

    job: str
    #: Whether the other one's alerts are held back while this one is unhealthy, or
    #: only while it has not ended when it should have.
    requires_success: bool = True


class Job(Struct, frozen=True, kw_only=True, gc=False):
    """A job as the configuration describes it, or as its first ping did."""

    name: str
    schedule: Schedule | None = None
    #: How late a run may finish.
    grace: float = 300.0
    #: How long before its slot a finish may come and still count for it.
    early: float = 60.0
    #: How long a run may take from start to finish.
    max_runtime: float | None = None
    #: How often a run is tried, where its reports do not say so.
    max_attempts: int | None = None
    #: The longest silence of an open run that sends signs of life.
    heartbeat: float | None = None
    #: Whether each sign of life begins `max_runtime` anew: the client itself set it,
    #: and that is what it means in the client's protocol.
    renews_runtime: bool = False
    rules: tuple[Rule, ...] = ()
    #: Consecutive bad runs before the job counts as failing.
    after_failures: int = 1
    #: Consecutive ok runs before a failing job counts as well again.
    recover_after: int = 1
    success_ratio: SuccessRatio | None = None
    slower_than: SlowerThan | None = None
    concurrency: Concurrency | None = None
    depends_on: tuple[Dependency, ...] = ()
    #: Whether Prometheus gets alerting rules for this job alone.
    dedicated: bool = False
    #: Whether what it pushes is exposed again under its own names.
    exposes_pushes: bool = False
    #: The meaning of its pushes, where the configuration gives one.
    push: PushSettings | None = None
    #: How long after a downtime the runs that were due in it are waited for before they
    #: count as missed; None where the next run decides instead.
    after_downtime: float | None = None
    enabled: bool = True
    severity: str = "warning"
    #: Declared label keys and their values, in the order they were declared.
    labels: tuple[tuple[str, str], ...] = ()
    project: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    runbook_url: str = ""
    #: A UUID by which pings may name it, too; "" for none.
    ping_uuid: str = ""
    #: Whether the configuration names it; if not, a ping registered it.
    configured: bool = True
    #: The name that people know it by, where that is no job name; "" for none.
    display_name: str = ""


class Ping(Struct, frozen=True, kw_only=True, gc=False):
    """One readable report, as it was received."""

    job: str
    kind: Kind
    #: When we received it.
    at: float
    #: How the run ended, for a finish.
    outcome: Outcome = Outcome.OK
    run_id: str | None = None
    attempt: int = 1
    #: Whether the report itself numbers its attempt.
    has_attempt: bool = False
    max_attempts: int | None = None
    #: When the run started and ended, where the report says so.
    started_at: float | None = None
    ended_at: float | None = None
    duration: float | None = None
    metrics: Mapping[str, float] = field(default_factory=nothing)
    #: Whether they add to what the run has reported before, instead of replacing it.
    adds: bool = False
    #: Whether another start of an open run is a sign of life, and no repeat.
    keeps_alive: bool = False
    #: Within how many seconds the run sends its next sign of life, if it does.
    heartbeat: float | None = None
    message: str = ""
    exit_code: int | None = None
    #: A JSON object, kept as text.
    metadata: str = ""
    #: Equal for identical bodies from the same sender, and for those alone.
    fingerprint: bytes = b""
    #: What was wrong with the report without making it unreadable.
    warnings: tuple[str, ...] = ()
    #: The signs in a push of metrics: with them, the state decides kind and outcome.
    push: Push | None = None
    #: How long the run that it starts may take, in seconds.
    max_runtime: float | None = None
    #: Whether it describes a run of the past: it alerts nobody.
    history: bool = False

    @property
    def is_numbered(self) -> bool:
        """Whether it says which attempt of its run it is about."""
        return self.has_attempt or self.attempt > 1


def is_to_be_retried(attempt: int, max_attempts: int | None, outcome: str) -> bool:
    """Return True for a failed attempt of a run that has more of them to come.

    It is no run yet: it is recorded and shown, and judges nothing.
    """
    return max_attempts is not None and attempt < max_attempts and outcome in RETRIED


class Run(Struct, frozen=True, kw_only=True, gc=False):
    """A run that finished, with the judgement of it; or a failed attempt of one."""

    #: Counts the finished runs of a job, and their failed attempts, from 1.
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

    @property
    def is_retried(self) -> bool:
        """Whether it is an attempt that another one is to follow."""
        return is_to_be_retried(self.attempt, self.max_attempts, self.outcome)
