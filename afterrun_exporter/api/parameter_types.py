"""Types of values in requests, with validation."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from afterrun_exporter.config.values import no_duration, severity
from afterrun_exporter.core.job_query import LABEL, STATES
from afterrun_exporter.core.job_query import LONGEST as SEARCH
from afterrun_exporter.core.model import JOB_NAME, Condition, Outcome
from afterrun_exporter.core.routing import ReceiverType
from afterrun_exporter.core.timestamps import END, instant, parse_time
from afterrun_exporter.core.units import format_duration, parse_duration

#: The largest page.
MOST: Final = 1000

#: The largest id.
LAST: Final = 2**63 - 1

#: The range of durations of a test alert.
SHORTEST: Final = parse_duration("10s")
LONGEST: Final = parse_duration("1h")

#: The longest pause, other than until it is resumed.
LONGEST_PAUSE: Final = parse_duration("3660d")

_DURATION: Final = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|[smhdw]))+$"

Text = Annotated[str, Field(min_length=1)]


def _digits(value: object) -> object:
    # Few ASCII digits only: int() accepts other digits, and thousands of them.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,30}", value):
        return int(value)
    return value


def _since(text: str) -> str:
    instant(text, END)
    return text


def _lasting(shortest: float, longest: float, text: object) -> str:
    if not isinstance(text, str):
        raise no_duration(text)
    seconds = parse_duration(text)
    if not shortest <= seconds <= longest:
        span = f"{format_duration(shortest)} to {format_duration(longest)}"
        raise ValueError(f"{text[:60]!r} is out of range: use {span}")
    return text


def _time(text: str) -> str:
    parse_time(text)
    return text


#: The most jobs in a report.
MOST_REPORTED: Final = 100_000

_DURATION_SCHEMA: Final = {"type": "string", "pattern": _DURATION}
_TIME_SCHEMA: Final = {"type": "string", "format": "date-time"}

#: A number in a query.
Digits: Final = BeforeValidator(_digits)
Page = Annotated[
    int, Field(ge=1, le=MOST, description="maximum number of items"), Digits
]
Jobs = Annotated[
    int, Field(ge=0, le=MOST_REPORTED, description="maximum number of jobs"), Digits
]
Number = Annotated[int, Field(ge=1, le=LAST), Digits]
Since = Annotated[
    str,
    AfterValidator(_since),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, _TIME_SCHEMA], "examples": ["7d"]}),
]
#: Filters of a `JobQuery`, which validates them.
Label = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": f"^{LABEL.pattern}"})
]
State = Annotated[str, WithJsonSchema({"type": "string", "enum": [*STATES]})]
Search = Annotated[str, WithJsonSchema({"type": "string", "maxLength": SEARCH})]
Kind = Annotated[Condition, Field(strict=False)]
RunOutcome = Annotated[Outcome, Field(strict=False)]
Receiver = Annotated[ReceiverType, Field(strict=False)]
#: "" is the severity of the job.
Severity = Annotated[
    str,
    Field(max_length=64),
    AfterValidator(lambda text: text and severity(text)),
]
Time = Annotated[str, AfterValidator(_time), WithJsonSchema(_TIME_SCHEMA)]
TestSpan = Annotated[
    str,
    BeforeValidator(lambda text: _lasting(SHORTEST, LONGEST, text)),
    WithJsonSchema(_DURATION_SCHEMA),
]
PauseSpan = Annotated[
    str,
    BeforeValidator(lambda text: _lasting(1.0, LONGEST_PAUSE, text)),
    WithJsonSchema(_DURATION_SCHEMA),
]

#: Path parameters.
JobName = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{JOB_NAME.pattern}$",
            "description": "the name of a job",
        }
    ),
]
ReceiverId = Annotated[int, Field(ge=1, le=LAST, description="the id of a receiver")]
