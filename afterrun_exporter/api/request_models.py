"""What may be asked for: the parameters of queries and the fields of bodies."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from afterrun_exporter.api.parameter_types import (
    Kind,
    Label,
    Number,
    Page,
    PauseSpan,
    Receiver,
    Severity,
    Since,
    State,
    TestSpan,
    Text,
    Time,
)
from afterrun_exporter.core.targets import check_target

#: Flags of a receiver: what it is told of.
FLAGS: Final = (
    "on_failure",
    "on_timeout",
    "on_violation",
    "on_missed",
    "on_success",
)


class Query(BaseModel):
    """Parameters of a query: none but these, each once unless it is a list."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoQuery(Query):
    """No parameters."""


class JobsQuery(Query):
    """Which jobs; all that is asked for must hold."""

    state: State | None = Field(None, description="jobs in this state")
    label: tuple[Label, ...] = Field(
        (), description="jobs with this label, as key:value; again for more of them"
    )
    unobserved: Literal["true", "false"] | None = Field(
        None, description="jobs that were last due in a downtime, or the others"
    )
    project: Text | None = Field(None, description="jobs of this project")
    tag: tuple[Text, ...] = Field(
        (), description="jobs with this tag; again for more of them"
    )
    q: Text | None = Field(None, description="jobs with this in their names")
    limit: Page = 100
    after: Text | None = Field(
        None, description="jobs whose names come after this one: `next` of a page"
    )


class RunsQuery(Query):
    """Which runs of a job."""

    limit: Page = 20
    before: Number | None = Field(
        None, description="runs with lower numbers than this: `next` of a page"
    )


class AlertsOf(Query):
    """Which alerts, of one job or of all."""

    state: Literal["open", "resolved"] | None = Field(
        None, description="alerts that are open, or over"
    )
    kind: Kind | None = Field(None, description="alerts of this kind")
    severity: Text | None = Field(None, description="alerts of this severity")
    since: Since | None = Field(
        None, description="alerts that opened since a time, or so long ago at most"
    )
    limit: Page = 100
    before: Number | None = Field(
        None,
        description="alerts that come after the one with this id: `next` of a page",
    )


class JobAlertsQuery(AlertsOf):
    """Which alerts of a job; all that is asked for must hold."""


class AlertsQuery(AlertsOf):
    """Which alerts; all that is asked for must hold."""

    job: Text | None = Field(None, description="alerts of this job")


class StatsQuery(Query):
    """Which alerts to count."""

    since: Since = Field("7d", description="those that opened since then")


class Body(BaseModel):
    """The object in a body: no field but these, each of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoBody(Body):
    """Nothing, or an object without fields."""


class TestAlert(Body):
    """An alert to see whether it arrives."""

    # For pytest: it is none of its tests.
    __test__ = False

    job: Text | None = Field(
        None, description="of this job; else of one that is made for it"
    )
    severity: Severity | None = Field(None, description="other than the job's own")
    lasts: TestSpan = Field(
        "2m", alias="for", description="how long it lasts, 10s to 1h"
    )


class Pause(Body):
    """How long nothing is expected of a job; until somebody resumes it if nothing is said."""

    lasts: PauseSpan | None = Field(
        None, alias="for", description="so long, such as 2h", examples=["2h"]
    )
    until: Time | None = Field(
        None,
        description="until then, a time of RFC 3339",
        examples=["2026-11-23T06:00:00Z"],
    )
    resume_on_ping: bool = Field(
        default=False, description="a report ends the pause, too"
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.lasts is not None and self.until is not None:
            raise ValueError("'for' and 'until' are both given: give one of them")
        return self


class NewReceiver(Body):
    """Somebody to tell of a job."""

    alert_type: Receiver
    target: str = Field(
        description="a mail address, or an http(s) URL; of Slack and Discord the "
        "incoming webhook",
        examples=["https://hooks.example.com/afterrun"],
    )
    on_failure: bool = True
    on_timeout: bool = True
    on_violation: bool = True
    on_missed: bool = True
    on_success: bool = False

    @model_validator(mode="after")
    def _somebody_is_told(self) -> Self:
        try:
            check_target(self.alert_type, self.target)
        except ValueError as error:
            raise ValueError(f"target: {error}") from None
        if not any(getattr(self, flag) for flag in FLAGS):
            raise ValueError(
                f"{', '.join(FLAGS)} are all false: nobody would ever be told; set one"
            )
        return self


class Document(Body):
    """An afterrun.yml to be checked."""

    config: str = Field(
        description="its text", examples=["jobs: {backup: {every: 1d}}"]
    )
