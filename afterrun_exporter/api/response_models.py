"""Models of responses: jobs, runs, alerts, receivers and others in JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from afterrun_exporter.alertmanager.loaded_file import Applied
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.routing import ReceiverType
from afterrun_exporter.core.status import Status

#: RFC 3339, in UTC.
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
#: Whole numbers are sent without a decimal point.
Value = Annotated[int | float, WithJsonSchema({"type": "number"})]
Seconds = Annotated[int | float, WithJsonSchema({"type": "number"})]


class Answer(BaseModel):
    """A JSON object in a response; it always has all its fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OpenAlert(Answer):
    """An open condition of a job."""

    kind: Condition
    alertname: str
    rule: str = Field(description="the violated rule, or empty")
    opened_at: Time


class Unobserved(Answer):
    """Slots that were due while AfterRun was down and have no reported run."""

    slots: int
    first: Time
    last: Time
    down_since: Time | None = Field(description="null if unknown")
    up_since: Time


class Job(Answer):
    """A job in a list."""

    name: str
    state: Status
    severity: str
    labels: dict[str, str]
    project: str
    tags: list[str]
    schedule: str | None = Field(
        description="cron or calendar expressions, with '; ' between them, or 'every 1h'"
    )
    timezone: str | None
    last_run: Time | None
    last_outcome: Outcome | None
    last_success: Time | None
    next_slot: Time | None
    deadline: Time | None = Field(description="the job is missed from then on")
    paused_at: Time | None
    paused_until: Time | None = Field(description="null: until it is resumed")
    running: int = Field(description="open runs")
    retrying: int = Field(description="failed runs that wait for their next attempt")
    consecutive_failures: int
    unobserved: Unobserved | None = Field(
        description="set if the last slot fell in a downtime: the next run decides"
    )
    alerts: list[OpenAlert]


class OpenRun(Answer):
    """An open run."""

    run_id: str | None
    attempt: int
    started_at: Time
    last_sign_of_life: Time | None = Field(description="null if it has sent none")
    deadline: Time | None = Field(
        description="it is overrunning from then on, unless it ends or sends a sign of "
        "life"
    )
    metrics: dict[str, Value | None]
    metadata: dict[str, Any] = Field(
        description="metadata of its start and progress reports"
    )


class LastDay(Answer):
    """Figures of the runs of a job in the last 24 hours."""

    runs: int = Field(description="at most 1440")
    ok_ratio: float | None = Field(
        description="share of ok ones, without canceled and skipped ones"
    )
    median: Seconds | None = Field(description="of the durations of the last ok runs")
    longest: Seconds | None


class AlertSetting(Answer):
    """An alert that a job can have."""

    kind: Condition
    alertname: str
    opens: str = Field(description="when it opens, in words")
    severity: str


class WholeJob(Job):
    """A job with all its details."""

    display_name: str = Field(description="the name shown to people, if different")
    description: str
    schedule_syntax: Literal["cron", "oncalendar", "every"] | None
    expressions: list[str] = Field(
        description="the expressions of its schedule; a run is due at each slot of any"
    )
    exclude: list[str] = Field(description="days on which no run is due")
    schedule_in_words: str
    unusable: str = Field(
        description="settings sent by its client that cannot be used, and the reason"
    )
    runbook_url: str
    enabled: bool
    grace: Seconds
    max_runtime: Seconds | None
    heartbeat: Seconds | None
    after_downtime: Seconds | None = Field(
        description="delay after a downtime until it is missed if it was due in it; null: "
        "the next run decides"
    )
    max_attempts: int | None
    rules: list[str]
    depends_on: list[str]
    alert_settings: list[AlertSetting]
    last_day: LastDay | None = Field(description="null if the database is unreadable")
    resumes_on_ping: bool = Field(description="true if a report ends its pause")
    created: Time
    last_ping: Time | None
    last_duration: Seconds | None
    metrics: dict[str, Value | None]
    open_runs: list[OpenRun]
    runs: int
    failed_runs: int
    failed_attempts: int = Field(
        description="attempts that were followed by another one; not counted as runs"
    )
    violating_runs: int
    runs_by_outcome: dict[str, int] = Field(
        description="without outcomes that have not occurred"
    )
    missed_runs: int
    unobserved_slots: int


class RecentFigures(Answer):
    """Figures of the runs of all jobs in the last 24 hours."""

    runs: int = Field(description="without canceled and skipped ones")
    ok_ratio: float | None = Field(description="share of `runs`; null without any")
    p50: Seconds | None = Field(description="median duration, to 3 percent")
    p95: Seconds | None
    p99: Seconds | None
    text: str = Field(description="the same in words")


class Jobs(Answer):
    """A page of jobs, by name."""

    jobs: list[Job]
    next: str | None = Field(description="`after` of the next page")
    last_day: RecentFigures | None = Field(
        description="of all jobs, also with filters; null while no run is counted"
    )


class Violation(Answer):
    """A rule that a run broke."""

    rule: str
    metric: str
    value: Value | None = Field(description="null if it was not reported or is a text")
    text: str | None = Field(description="for a rule on text: the relevant part")
    actual: str | None = Field(
        description="the value in the unit of the rule, or the text in quotes"
    )
    expected: str = Field(
        description="in the unit of the rule, with the threshold at that time"
    )


class Run(Answer):
    """A finished run."""

    number: int
    run_id: str | None
    attempt: int
    max_attempts: int | None
    retrying: bool = Field(
        description="true for a failed attempt with another one to follow: not evaluated"
    )
    outcome: Outcome
    started_at: Time | None
    finished_at: Time = Field(description="not later than `received_at`")
    received_at: Time = Field(
        description="by the clock of the server: a time in the future was recorded "
        "while that clock was ahead"
    )
    duration: Seconds | None
    exit_code: int | None
    metrics: dict[str, Value | None]
    violations: list[Violation]
    message: str
    metadata: dict[str, Any]
    config_commit: str = Field(
        description="the commit of the configuration that judged it, with `-dirty` if "
        "its files differed from that; empty if it was in no repository"
    )


class Runs(Answer):
    """A page of the runs of a job, the newest first."""

    job: str
    runs: list[Run]
    next: int | None = Field(description="`before` of the next page")


class RecordedRun(Run):
    """A finished run of any job."""

    id: int
    job: str


class AllRuns(Answer):
    """A page of the runs of all jobs, the last recorded one first."""

    runs_per_job: int = Field(
        description="the most runs that are kept of a job, the last recorded ones"
    )
    runs: list[RecordedRun]
    next: int | None = Field(description="`before` of the next page")


class JobOpenRun(OpenRun):
    """An open run of any job."""

    job: str


class OpenRuns(Answer):
    """A page of the open runs of all jobs, by the name of the job."""

    runs: list[JobOpenRun]
    next: str | None = Field(description="`after` of the next page")


class Alert(Answer):
    """A recorded alert."""

    id: int
    job: str
    kind: Condition
    alertname: str
    rule: str
    severity: str
    summary: str
    state: Literal["open", "resolved"]
    opened_at: Time
    resolved_at: Time | None
    run: int | None = Field(description="the number of the run that opened it")


class OpenedTest(Alert):
    """A test alert that was opened."""

    until: Time


class Alerts(Answer):
    """A page of alerts, the newest first."""

    alerts: list[Alert]
    next: int | None = Field(description="`before` of the next page")


class JobCount(Answer):
    """The number of alerts of a job."""

    job: str
    alerts: int


class Resolving(Answer):
    """Seconds until alerts were resolved; null if none was."""

    mean: float | None
    median: float | None


class Stats(Answer):
    """Statistics of alerts."""

    since: Time
    alerts: int
    by_kind: dict[str, int]
    by_severity: dict[str, int]
    by_state: dict[str, int]
    jobs: list[JobCount]
    seconds_to_resolve: Resolving
    open_now: int


class Receiver(Answer):
    """A receiver of a job."""

    id: int
    job: str
    alert_type: ReceiverType
    target: str = Field(description="a mail address, or the host of a URL")
    on_failure: bool
    on_timeout: bool
    on_violation: bool
    on_missed: bool
    on_success: bool
    created_at: Time


class AddedReceiver(Receiver):
    """A new receiver, with the state of its configuration."""

    applied: Applied
    warnings: list[str]


class Receivers(Answer):
    """All receivers, in the order they were added."""

    receivers: list[Receiver]


class JobReceivers(Receivers):
    """The receivers of a job."""

    job: str


class Finding(Answer):
    """A problem or a warning in an afterrun.yml."""

    line: int = Field(description="counted from 1; 0 for the file as a whole")
    key: str = Field(description="the key, such as jobs.backup.rules[0]")
    message: str


class Checked(Answer):
    """The result of `afterrun check` for an afterrun.yml."""

    valid: bool
    problems: list[Finding]
    warnings: list[Finding]
    jobs: int | None = Field(description="number of jobs in a valid file")
    scheduled: int | None
    rules: int | None


class Document(Answer):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class Nothing(Answer):
    """A response without JSON."""


class Problem(Answer):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="a stable identifier of the kind of problem")
    title: str
    status: int
    detail: str = Field(description="what is wrong and how to correct it, for people")
