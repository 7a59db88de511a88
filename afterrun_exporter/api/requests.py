"""What may be asked for: the parameters of queries and the fields of bodies."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from afterrun_exporter.core.alerts import NO_SEVERITY, Status
from afterrun_exporter.core.model import JOB_NAME, Condition
from afterrun_exporter.core.routing import ReceiverType
from afterrun_exporter.core.targets import check_target
from afterrun_exporter.core.timestamps import parse_time
from afterrun_exporter.core.units import format_duration, parse_duration

#: Of anything, in one answer.
MOST: Final = 1000

#: No id is larger.
LAST: Final = 2**63 - 1

EPOCH: Final = 0.0
END: Final = parse_time("9999-12-31T00:00:00Z")

#: How long a test alert may last.
SHORTEST: Final = parse_duration("10s")
LONGEST: Final = parse_duration("1h")

#: How long a job may be paused for, if not until somebody resumes it.
LONGEST_PAUSE: Final = parse_duration("3660d")

#: Flags of a receiver: what it is told of.
FLAGS: Final = ("on_failure", "on_timeout", "on_violation", "on_missed")

_SEVERITY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*:.*", re.DOTALL)
_DURATION: Final = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|[smhdw]))+$"

Text = Annotated[str, Field(min_length=1)]


def instant(text: str, now: float) -> float:
    """Return the instant that *text* names, or that lies so long before *now*.

    Raises ValueError where it does neither.
    """
    # What lies outside these years means the same as their ends, and can be told.
    return min(max(_instant(text, now), EPOCH), END)


def _instant(text: str, now: float) -> float:
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a duration nor a time: write it like 7d "
            "or 2026-11-22T02:00:00Z"
        ) from None


def _digits(value: object) -> object:
    # ASCII digits and few: int() takes much more than that.
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value) if len(value) <= len(str(LAST)) else value
    return value


def _since(text: str) -> str:
    instant(text, END)
    return text


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a label: write it like team:data")
    return text


def _lasting(shortest: float, longest: float, text: str) -> str:
    seconds = parse_duration(text)
    if not shortest <= seconds <= longest:
        span = f"{format_duration(shortest)} to {format_duration(longest)}"
        raise ValueError(f"{text[:60]!r} is out of range: use {span}")
    return text


def _severity(text: str) -> str:
    if text and (text == NO_SEVERITY or not _SEVERITY.fullmatch(text)):
        raise ValueError(
            f"{text[:64]!r} is not a severity: use one that your routes know, such as "
            "critical, warning or info"
        )
    return text


def _time(text: str) -> str:
    parse_time(text)
    return text


_DURATION_SCHEMA: Final = {"type": "string", "pattern": _DURATION}
_TIME_SCHEMA: Final = {"type": "string", "format": "date-time"}

#: A number in a query.
Digits: Final = BeforeValidator(_digits)
Page = Annotated[int, Digits, Field(ge=1, le=MOST, description="how many at most")]
Number = Annotated[int, Digits, Field(ge=1, le=LAST)]
Since = Annotated[
    str,
    AfterValidator(_since),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, _TIME_SCHEMA], "examples": ["7d"]}),
]
Label = Annotated[
    str,
    AfterValidator(_label),
    WithJsonSchema({"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*:"}),
]
State = Annotated[Status, Field(strict=False)]
Kind = Annotated[Condition, Field(strict=False)]


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
    severity: Annotated[str, AfterValidator(_severity)] | None = Field(
        None, description="other than the job's own"
    )
    lasts: Annotated[
        str, AfterValidator(lambda text: _lasting(SHORTEST, LONGEST, text))
    ] = Field("2m", alias="for", description="how long it lasts, 10s to 1h")


class Pause(Body):
    """How long nothing is expected of a job; until somebody resumes it if nothing is said."""

    lasts: (
        Annotated[str, AfterValidator(lambda text: _lasting(1.0, LONGEST_PAUSE, text))]
        | None
    ) = Field(None, alias="for", description="so long, such as 2h", examples=["2h"])
    until: Annotated[str, AfterValidator(_time)] | None = Field(
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

    alert_type: Annotated[ReceiverType, Field(strict=False)]
    target: str = Field(
        description="a mail address, or an http(s) URL; of Slack and Discord the "
        "incoming webhook",
        examples=["https://hooks.example.com/afterrun"],
    )
    on_failure: bool = True
    on_timeout: bool = True
    on_violation: bool = True
    on_missed: bool = True

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


#: What stands for itself in a path.
JobName = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": f"^{JOB_NAME.pattern}$"}),
    Field(description="the name of a job"),
]
ReceiverId = Annotated[int, Field(ge=1, le=LAST, description="the id of a receiver")]
