"""Models of requests: query parameters and JSON bodies."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from afterrun_exporter.api.parameter_types import (
    Jobs,
    Kind,
    Label,
    Number,
    Page,
    PauseSpan,
    Receiver,
    RunOutcome,
    Search,
    Severity,
    Since,
    State,
    TestSpan,
    Text,
    Time,
)
from afterrun_exporter.core.receiver_targets import check_target

#: Flags of a receiver: the events that it is notified of.
FLAGS: Final = (
    "on_failure",
    "on_timeout",
    "on_violation",
    "on_missed",
    "on_success",
)


class Query(BaseModel):
    """Query parameters; unknown ones are rejected, and only lists may repeat."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(Query):
    """No parameters."""


class JobsQuery(Query):
    """Filters for jobs; a job must match all of them."""

    state: State | None = Field(None, description="jobs in this state")
    label: tuple[Label, ...] = Field(
        (), description="jobs with this label, as key=value; may be repeated"
    )
    project: Text | None = Field(None, description="jobs of this project")
    tag: tuple[Text, ...] = Field((), description="jobs with this tag; may be repeated")
    q: Search | None = Field(
        None, description="jobs whose name or description contains all these words"
    )
    limit: Page = 100
    after: Text | None = Field(
        None, description="jobs whose names come after this one: `next` of a page"
    )


class StateQuery(Query):
    """The length of a list of slots."""

    limit: Page = Field(10, description="the most slots in `upcoming`")


class RunsQuery(Query):
    """A page of the runs of a job."""

    outcome: tuple[RunOutcome, ...] = Field(
        (), description="runs with this outcome; may be repeated"
    )
    limit: Page = 20
    before: Number | None = Field(
        None, description="runs with lower numbers than this: `next` of a page"
    )


class AllRunsQuery(Query):
    """A page of the runs of all jobs."""

    outcome: tuple[RunOutcome, ...] = Field(
        (), description="runs with this outcome; may be repeated"
    )
    since: Since = Field(
        "7d", description="runs recorded since this time, or within this duration"
    )
    limit: Page = 100
    before: Number | None = Field(
        None,
        description="runs recorded before the one with this id: `next` of a page",
    )


class OpenRunsQuery(Query):
    """A page of the open runs of all jobs."""

    limit: Page = 100
    after: Text | None = Field(
        None,
        description="runs of jobs whose names come after this one: `next` of a page",
    )


class JobAlertsQuery(Query):
    """Filters for alerts of a job; an alert must match all of them."""

    state: Literal["open", "resolved"] | None = Field(
        None, description="alerts that are open, or resolved"
    )
    kind: Kind | None = Field(None, description="alerts of this kind")
    severity: Text | None = Field(None, description="alerts of this severity")
    since: Since | None = Field(
        None, description="alerts opened since this time, or within this duration"
    )
    limit: Page = 100
    before: Number | None = Field(
        None,
        description="alerts that come after the one with this id: `next` of a page",
    )


class AlertsQuery(JobAlertsQuery):
    """Filters for alerts; an alert must match all of them."""

    job: Text | None = Field(None, description="alerts of this job")


class StatsQuery(Query):
    """The alerts to count."""

    since: Since = Field(
        "7d", description="alerts opened since this time, or within this duration"
    )


class ReportQuery(Query):
    """The period and the jobs of a report; a job must match all filters."""

    period: Text = Field(
        "30d",
        description="UTC days: 30d, 2026-11, 2026-11-01..2026-11-15, last-week, last-month",
    )
    label: tuple[Label, ...] = Field(
        (), description="jobs with this label, as key=value; may be repeated"
    )
    project: Text | None = Field(None, description="jobs of this project")
    tag: tuple[Text, ...] = Field((), description="jobs with this tag; may be repeated")
    q: Search | None = Field(
        None, description="jobs whose name or description contains all these words"
    )
    limit: Jobs = 100


class Body(BaseModel):
    """A JSON body; unknown fields are rejected."""

    model_config = Query.model_config


class NoBody(Body):
    """An empty body, or an object without fields."""


class TestAlert(Body):
    """A test alert."""

    # Not a test class for pytest.
    __test__ = False

    job: Text | None = Field(
        None, description="the job of the alert; by default a job created for tests"
    )
    severity: Severity | None = Field(None, description="by default the job's own")
    lasts: TestSpan = Field(
        "2m", alias="for", description="duration of the alert, 10s to 1h"
    )


class Pause(Body):
    """A pause of a job: for a duration, until a time, or until it is resumed."""

    lasts: PauseSpan | None = Field(
        None,
        alias="for",
        description="duration of the pause, such as 2h",
        examples=["2h"],
    )
    until: Time | None = Field(
        None,
        description="end of the pause (RFC 3339)",
        examples=["2026-11-23T06:00:00Z"],
    )
    resume_on_ping: bool = Field(
        default=False, description="a report also ends the pause"
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.lasts is not None and self.until is not None:
            raise ValueError("'for' and 'until' cannot be combined: send one of them")
        return self


class NewReceiver(Body):
    """A receiver to add to a job."""

    alert_type: Receiver
    target: str = Field(
        description="a mail address, or an http(s) URL; for Slack and Discord the "
        "incoming webhook",
        examples=["https://hooks.example.com/afterrun"],
    )
    on_failure: bool = True
    on_timeout: bool = True
    on_violation: bool = True
    on_missed: bool = True
    on_success: bool = False

    @model_validator(mode="after")
    def _can_be_notified(self) -> Self:
        try:
            check_target(self.alert_type, self.target)
        except ValueError as error:
            raise ValueError(f"target: {error}") from None
        if not any(getattr(self, flag) for flag in FLAGS):
            raise ValueError(
                f"{', '.join(FLAGS)} are all false: the receiver would never be notified; set one"
            )
        return self


class Document(Body):
    """An afterrun.yml to check."""

    config: str = Field(
        description="the text of the file", examples=["jobs: {backup: {every: 1d}}"]
    )
