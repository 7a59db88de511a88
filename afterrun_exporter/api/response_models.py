"""What is answered: the shapes of jobs, runs, alerts, receivers and the rest in JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from afterrun_exporter.alertmanager.receivers import Applied
from afterrun_exporter.core.alerts import Status
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.routing import ReceiverType

#: RFC 3339, in UTC.
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
#: A job that reported 0 reads 0, not 0.0.
Value = Annotated[int | float, WithJsonSchema({"type": "number"})]
Seconds = Annotated[int | float, WithJsonSchema({"type": "number"})]


class Answer(BaseModel):
    """An object of an answer: these fields, all of them, always."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OpenAlert(Answer):
    """A condition of a job that holds."""

    kind: Condition
    alertname: str
    rule: str = Field(description="the rule that is broken, if one is")
    opened_at: Time


class Unobserved(Answer):
    """Slots that were due while AfterRun was down, and that no run was reported for."""

    slots: int
    first: Time
    last: Time
    down_since: Time | None = Field(description="null where it is not known")
    up_since: Time


class Job(Answer):
    """A job as it stands in a list."""

    name: str
    state: Status
    severity: str
    labels: dict[str, str]
    project: str
    tags: list[str]
    schedule: str | None
    timezone: str | None
    last_run: Time | None
    last_outcome: Outcome | None
    last_success: Time | None
    next_slot: Time | None
    deadline: Time | None = Field(description="from then on it counts as missed")
    paused_at: Time | None
    paused_until: Time | None = Field(description="null until somebody resumes it")
    running: int = Field(description="open runs")
    retrying: int = Field(description="runs that wait for their next attempt")
    consecutive_failures: int
    unobserved: Unobserved | None = Field(
        description="where it was last due in a downtime: the next run decides"
    )
    alerts: list[OpenAlert]


class OpenRun(Answer):
    """A run that has started and not ended."""

    run_id: str | None
    attempt: int
    started_at: Time
    last_sign_of_life: Time | None = Field(description="null while it has sent none")
    deadline: Time | None = Field(
        description="from then on it is overrunning, unless it ends or gives a sign of "
        "life"
    )
    metrics: dict[str, Value | None]
    metadata: dict[str, Any] = Field(description="of its start and its progress")


class WholeJob(Job):
    """A job as it stands alone."""

    display_name: str = Field(description="the name people know it by, if another one")
    description: str
    unusable: str = Field(
        description="what its client says of it and cannot be used, and why"
    )
    runbook_url: str
    enabled: bool
    grace: Seconds
    max_runtime: Seconds | None
    heartbeat: Seconds | None
    after_downtime: Seconds | None = Field(
        description="how long after a downtime it is missed if it was due in it; null: "
        "the next run decides"
    )
    max_attempts: int | None
    rules: list[str]
    depends_on: list[str]
    resumes_on_ping: bool = Field(description="whether a report ends its pause")
    created: Time
    last_ping: Time | None
    last_duration: Seconds | None
    metrics: dict[str, Value | None]
    open_runs: list[OpenRun]
    runs: int
    failed_runs: int
    failed_attempts: int = Field(
        description="that another attempt was to follow; they are no runs"
    )
    violating_runs: int
    missed_runs: int
    unobserved_slots: int


class Jobs(Answer):
    """A page of jobs, by name."""

    jobs: list[Job]
    next: str | None = Field(description="`after` of the next page")


class Violation(Answer):
    """A rule that a run broke."""

    rule: str
    metric: str
    value: Value | None = Field(description="null: not reported, or a text")
    text: str | None = Field(description="of a rule on text: the part that matters")
    expected: str = Field(description="with the threshold of then")


class Run(Answer):
    """A finished run."""

    number: int
    run_id: str | None
    attempt: int
    max_attempts: int | None
    retrying: bool = Field(
        description="a failed attempt that another one was to follow: it judges nothing"
    )
    outcome: Outcome
    started_at: Time | None
    finished_at: Time = Field(description="not after `received_at`")
    received_at: Time = Field(
        description="by the clock of AfterRun's machine: a time in the future was "
        "recorded while that clock was ahead"
    )
    duration: Seconds | None
    exit_code: int | None
    metrics: dict[str, Value | None]
    violations: list[Violation]
    message: str
    metadata: dict[str, Any]


class Runs(Answer):
    """A page of the runs of a job, the newest first."""

    job: str
    runs: list[Run]
    next: int | None = Field(description="`before` of the next page")


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
    """How many alerts a job has had."""

    job: str
    alerts: int


class Resolving(Answer):
    """How long it took until alerts were resolved; null where none was."""

    mean: float | None
    median: float | None


class Stats(Answer):
    """What the alerts of a time come to."""

    since: Time
    alerts: int
    by_kind: dict[str, int]
    by_severity: dict[str, int]
    by_state: dict[str, int]
    jobs: list[JobCount]
    seconds_to_resolve: Resolving
    open_now: int


class Receiver(Answer):
    """Somebody who is told of a job."""

    id: int
    job: str
    alert_type: ReceiverType
    target: str = Field(description="a mail address; of a URL its host alone")
    on_failure: bool
    on_timeout: bool
    on_violation: bool
    on_missed: bool
    on_success: bool
    created_at: Time


class AddedReceiver(Receiver):
    """A receiver that was added, and how far that has come."""

    applied: Applied
    warnings: list[str]


class Receivers(Answer):
    """All receivers, in the order they were added."""

    receivers: list[Receiver]


class JobReceivers(Receivers):
    """Who is told of a job."""

    job: str


class Finding(Answer):
    """Something that is wrong, or odd, in an afterrun.yml."""

    line: int = Field(description="counted from 1; 0 for the file as a whole")
    key: str = Field(description="where in the file, such as jobs.backup.rules[0]")
    message: str


class Checked(Answer):
    """What `afterrun check` would say of an afterrun.yml."""

    valid: bool
    problems: list[Finding]
    warnings: list[Finding]
    jobs: int | None = Field(description="how many, in a valid file")
    scheduled: int | None
    rules: int | None


class Document(Answer):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class Nothing(Answer):
    """No JSON at all."""


class Problem(Answer):
    """Why there is no answer: RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="which kind of problem; it never changes")
    title: str
    status: int
    detail: str = Field(description="what is wrong, and the way out, for people")
