"""A JSON report, as people's scripts send it, to a Ping. No aiohttp here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from afterrun_exporter.core.model import JOB_NAME, Kind, Outcome, Ping
from afterrun_exporter.core.timestamps import parse_time
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.readings import Readings, read_metrics

#: Longer messages lose their beginning: the end is where the error stands.
MAX_MESSAGE: Final = 10_000

#: What SQLite and most languages call an integer.
MAX_INT: Final = 2**63 - 1

#: What follows where the value of `"rows": $ROWS` should be, and is not.
EMPTY: Final = frozenset(",}]")
EMPTY_VARIABLE: Final = "; is a variable of the script empty?"

#: The year 5138: later times are milliseconds taken for seconds.
MAX_TIME: Final = 1e11

STATUSES: Final[Mapping[str, tuple[Kind, Outcome]]] = {
    word: (kind, outcome)
    for kind, outcome, words in (
        (Kind.FINISH, Outcome.OK, "ok success succeeded complete completed"),
        (Kind.FINISH, Outcome.FAIL, "fail failed failure error"),
        (Kind.FINISH, Outcome.PARTIAL, "partial"),
        (Kind.FINISH, Outcome.TIMEOUT, "timeout timed_out"),
        (Kind.FINISH, Outcome.CANCELED, "canceled cancelled"),
        (Kind.START, Outcome.OK, "start started running in_progress"),
        (Kind.PROGRESS, Outcome.OK, "progress"),
        (Kind.LOG, Outcome.OK, "log"),
    )
    for word in words.split()
}


def _run_id(value: object) -> object:
    return str(value) if isinstance(value, int) else value


def _instant(value: object) -> float:
    if isinstance(value, str):
        value = parse_time(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a time; write it like 2026-11-22T02:00:00Z")
    if not 0 < value < MAX_TIME:
        raise ValueError(f"{value!r} is not a time in Unix seconds")
    return float(value)


def _seconds(value: float) -> float:
    if not 0 <= value < MAX_TIME:
        raise ValueError(
            f"{value!r} is not a duration: it must be 0 or more, and less than {MAX_TIME:g} s"
        )
    return value


Integer = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]
Instant = Annotated[float, BeforeValidator(_instant)]
Duration = Annotated[float, AfterValidator(_seconds)]


class Report(BaseModel):
    """The body of a ping."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    status: str | None = None
    duration_ms: Duration | None = None
    duration_seconds: Duration | None = None
    metrics: dict[str, Any] | None = None
    run_id: Annotated[
        Annotated[str, Field(max_length=256)] | None, BeforeValidator(_run_id)
    ] = None
    attempt: Annotated[Integer, Field(ge=1)] | None = None
    max_attempts: Annotated[Integer, Field(ge=1)] | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    message: str | None = None
    exit_code: Integer | None = None
    metadata: dict[str, Any] | None = None


def check_name(job: str) -> str:
    """Return *job* if a job may be called so; raise PingError if not."""
    if JOB_NAME.fullmatch(job):
        return job
    raise PingError(
        f"{job!r} cannot be the name of a job: use up to 128 letters, digits, "
        "and . _ : - after the first"
    )


def read_json(body: bytes) -> Any:
    """Return what *body* says in JSON; raise PingError, saying where it stops.

    NaN and Infinity are read, so that one such metric does not cost the report.
    """
    text = body.decode("utf-8-sig", "replace")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PingError(
            f"the report is not JSON: {error.msg.lower()} at line {error.lineno} "
            f"column {error.colno}, near {_near(text, error.pos)!r}"
            f"{EMPTY_VARIABLE if text[error.pos : error.pos + 1] in EMPTY else ''}"
        ) from None
    except (ValueError, RecursionError):
        raise PingError(
            "the report is not JSON that can be read: its numbers are too long or "
            "it is nested too deeply"
        ) from None


def ping_of(
    job: str,
    fields: object,
    *,
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
    key: str | None = None,
) -> tuple[Ping, Readings]:
    """Return the ping that *fields* stand for, and what became of its metrics.

    *key* names the run where the report does not. A field that cannot be used
    is left out with a warning; raises PingError for a report that cannot be
    understood without it.
    """
    if not isinstance(fields, dict):
        raise PingError(
            f'a report is a JSON object such as {{"status": "ok"}}, not {_kind(fields)}'
        )
    report, warnings = _validated(fields)
    kind, outcome = _status(report)
    readings = read_metrics(report.metrics or {}, metrics_limit)
    message = _clean(report.message or "")
    if len(message) > MAX_MESSAGE:
        message = message[-MAX_MESSAGE:]
        warnings.append(f"message: only its last {MAX_MESSAGE} characters are kept")
    ping = Ping(
        job=job,
        kind=kind,
        at=at,
        outcome=outcome,
        run_id=_clean(report.run_id or "") or _key(key),
        attempt=report.attempt or 1,
        max_attempts=report.max_attempts,
        started_at=report.started_at,
        ended_at=report.ended_at,
        duration=_duration(report),
        metrics=readings.values,
        message=message,
        exit_code=report.exit_code,
        metadata="" if report.metadata is None else json.dumps(report.metadata),
        fingerprint=fingerprint,
        warnings=(*warnings, *readings.warnings),
    )
    return ping, readings


def plain_success(job: str, at: float, fingerprint: bytes, key: str | None) -> Ping:
    """Return the ping of a request that says nothing: the job ran, and ran well."""
    return Ping(
        job=job, kind=Kind.FINISH, at=at, run_id=_key(key), fingerprint=fingerprint
    )


def invalid(job: str, at: float, fingerprint: bytes, error: PingError) -> Ping:
    """Return the ping that stands for a report nobody could read."""
    return Ping(
        job=job,
        kind=Kind.FINISH,
        at=at,
        outcome=Outcome.INVALID,
        message=str(error),
        fingerprint=fingerprint,
    )


def _validated(fields: dict[str, Any]) -> tuple[Report, list[str]]:
    warnings = [_unknown(name) for name in fields if name not in Report.model_fields]
    try:
        return Report.model_validate(fields), warnings
    except ValidationError as error:
        usable = dict(fields)
        for problem in error.errors(include_url=False):
            name = str(problem["loc"][0])
            reason = problem["msg"].removeprefix("Value error, ").lower()
            if name == "status":
                raise PingError(f"status: {_unknown_status(fields[name])}") from None
            if usable.pop(name, None) is not None:
                warnings.append(f"{name}: {reason}: left out")
        return Report.model_validate(usable), warnings


def _status(report: Report) -> tuple[Kind, Outcome]:
    if report.status is None:
        failed = report.exit_code not in {None, 0}
        return Kind.FINISH, Outcome.FAIL if failed else Outcome.OK
    try:
        return STATUSES[report.status.strip().lower()]
    except KeyError:
        raise PingError(f"status: {_unknown_status(report.status)}") from None


def _duration(report: Report) -> float | None:
    if report.duration_ms is not None:
        return report.duration_ms / 1000
    return report.duration_seconds


def _unknown_status(status: object) -> str:
    near = get_close_matches(str(status).lower(), STATUSES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(STATUSES)}"
    return f"unknown status {status!r}; {hint}"


def _unknown(name: str) -> str:
    near = get_close_matches(name, Report.model_fields, n=1)
    hint = (
        f"; did you mean {near[0]!r}?" if near else ": report numbers under 'metrics'"
    )
    return f"unknown field {_clean(name)[:64]!r}{hint}"


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "an array; send lists to /ping"
    return "null" if value is None else f"the value {value!r:.40}"


def _key(header: str | None) -> str | None:
    # Any byte can be in a header; different ones stay different keys.
    raw = (header or "").encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace") or None


def _clean(text: str) -> str:
    # JSON can hold half a character (\ud800); UTF-8, and so SQLite, cannot.
    return text.encode("utf-8", "replace").decode()


def _near(text: str, at: int) -> str:
    return text[max(0, at - 24) : at + 12]
