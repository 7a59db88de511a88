"""Conversion of a JSON report to a Ping, independent of aiohttp."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from afterrun_exporter.core.did_you_mean import near
from afterrun_exporter.core.model import FAILURES, JOB_NAME, Kind, Outcome, Ping
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.errors import HistoryError, PingError
from afterrun_exporter.ingest import fields as values
from afterrun_exporter.ingest import outcome_claims
from afterrun_exporter.ingest.fields import MAX_INT, MAX_RUN_ID
from afterrun_exporter.ingest.report_metrics import ReportMetrics, read_metrics
from afterrun_exporter.ingest.unknown_fields import message_of
from afterrun_exporter.ingest.vocabulary import MAX_WORD, Meaning
from afterrun_exporter.validation_messages import findings, quote, show

#: Fields that only claim an outcome, and the types of their values.
CLAIMS: Final[Mapping[str, tuple[type, ...]]] = {
    "status": (str, bool),
    "exit_code": (str, int, float),
}
#: The most unknown fields with a warning; the search for similar names takes time.
MAX_UNKNOWN: Final = 20

#: The most characters of a message; the end is kept, which has the error.
MAX_MESSAGE: Final = 10_000

#: Names of metadata, in lower case, whose values are not stored, because clients may send
#: `?token=...` instead of Authorization, and other users can read runs.
SECRETS: Final = frozenset(
    {
        *("token", "access_token", "auth_token", "afterrun_token", "authorization"),
        *("api_key", "api-key", "apikey", "ping_key", "sentry_key", "x-api-key"),
        *("password", "passwd", "pwd", "secret", "client_secret", "private_key"),
    }
)
HIDDEN: Final = "***"
#: The most of them that a warning names.
MAX_SECRETS: Final = 5

#: The most values of metadata that are encoded in one call.
MAX_DUMPED: Final = 10_000
_ENCODER: Final = json.JSONEncoder(allow_nan=False)

HISTORY: Final = "history"
HISTORY_WITHOUT_TIMES: Final = (
    "a past run needs its times: send ended_at, or started_at with duration_ms"
)
INVALID_METADATA: Final = (
    "metadata is left out: it contains NaN or Infinity, or is nested too deeply"
)
METRICS_OF_START: Final = (
    "metrics of a start are ignored: report them with progress or at the end"
)

Integer = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]
Instant = Annotated[
    float, BeforeValidator(values.instant, json_schema_input_type=float | str)
]
Duration = Annotated[float, AfterValidator(values.duration)]
Silence = Annotated[float, AfterValidator(values.silence)]
Flag = Annotated[bool, BeforeValidator(values.flag, json_schema_input_type=bool | str)]
RunId = Annotated[
    str,
    Field(max_length=MAX_RUN_ID),
    BeforeValidator(values.run_id, json_schema_input_type=int | str),
]
ExitStatus = Annotated[
    Integer, BeforeValidator(values.exit_status, json_schema_input_type=int | str)
]


class Report(BaseModel):
    """The body of a ping."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    status: str | None = Field(
        None,
        description="ok, fail, partial, timeout, canceled, skipped, start, progress or log",
    )
    duration_ms: Duration | None = None
    duration_seconds: Duration | None = None
    metrics: dict[str, Any] | None = Field(
        None, description="numbers that rules judge, by name"
    )
    run_id: RunId | None = Field(None, description="start and finish have the same")
    attempt: Annotated[Integer, Field(ge=1)] | None = None
    max_attempts: Annotated[Integer, Field(ge=1)] | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    message: str | None = None
    exit_code: ExitStatus | None = Field(None, description="0 unless it failed")
    metadata: dict[str, Any] | None = Field(
        None, description="kept with the run, never a label"
    )
    history: Flag | None = Field(
        None, description="a finished run of the past: it opens no alert"
    )
    heartbeat_seconds: Silence | None = Field(
        None, description="the run sends its next sign of life within so many seconds"
    )


#: Names of all fields. pydantic's own mapping takes a microsecond to look up.
FIELDS: Final = frozenset(Report.model_fields)

#: Fields whose text becomes the message of a report without one.
ERRORS: Final = ("error", "errors", "error_message")

#: Fields that claim no outcome; some numbers in `metrics` do.
OWN_FIELDS: Final = FIELDS - CLAIMS.keys() - {"metrics"}


def check_name(job: str) -> str:
    """Return *job* if it is a valid job name; raise PingError if not."""
    if JOB_NAME.fullmatch(job):
        return job
    raise PingError(
        f"{job!r} cannot be the name of a job: use up to 128 letters, digits, "
        "and . _ : - after the first"
    )


def ping_of(
    job: str,
    fields: object,
    *,
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
    key: str | None = None,
    address: Meaning | None = None,
) -> tuple[Ping, ReportMetrics]:
    """Return the ping for *fields*, and the result of reading its metrics.

    *key* is the run id of a report without one; *address* is the claim of the path.
    An invalid field is left out with a warning. Raises PingError if the report is
    ambiguous without it, and HistoryError for a past run.
    """
    if not isinstance(fields, dict):
        raise PingError(
            f'a report is a JSON object such as {{"status": "ok"}}, not {_kind(fields)}'
        )
    try:
        is_past = fields.get(HISTORY) is not None and values.flag(fields[HISTORY])
    except ValueError as error:
        raise HistoryError(str(error)) from None
    read = partial(_ping_of, job, fields, at, fingerprint, metrics_limit, key, address)
    if not is_past:
        return read()
    try:
        ping, report_metrics = read()
        _check_history(ping)
    except PingError as error:
        raise HistoryError(str(error)) from None
    return ping, report_metrics


def _ping_of(
    job: str,
    fields: dict[str, Any],
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
    key: str | None,
    address: Meaning | None,
) -> tuple[Ping, ReportMetrics]:
    claims = outcome_claims.read(fields, address=address, plain=OWN_FIELDS)
    fields = _with_unknown_texts(fields, claims)
    kind = claims.kind
    report, warnings = _validated(fields, claims)
    report_metrics = read_metrics(report.metrics or {}, metrics_limit)
    if kind is Kind.START and report.metrics:
        warnings.append(METRICS_OF_START)
    message, about_message = message_text(report.message or "")
    metadata, about_metadata = metadata_text(report.metadata)
    run_key, about_key = _key(key)
    ping = Ping(
        job=job,
        kind=kind,
        at=at,
        outcome=claims.outcome,
        run_id=clean(report.run_id or "") or run_key,
        attempt=report.attempt or 1,
        has_attempt=report.attempt is not None,
        max_attempts=report.max_attempts,
        started_at=report.started_at,
        ended_at=report.ended_at,
        duration=_duration(report),
        metrics=report_metrics.values,
        message=message,
        exit_code=claims.exit_code,
        metadata=metadata,
        heartbeat=report.heartbeat_seconds,
        history=report.history is True,
        fingerprint=fingerprint,
        warnings=(
            *claims.warnings,
            *warnings,
            *about_message,
            *about_metadata,
            *about_key,
            *report_metrics.warnings,
        ),
    )
    return ping, report_metrics


def _check_history(ping: Ping) -> None:
    """Raise PingError if *ping* does not describe a finished past run."""
    if ping.kind is not Kind.FINISH:
        raise PingError(f"history accepts only finished runs, and no {ping.kind}")
    has_end = ping.ended_at is not None or (
        ping.started_at is not None and ping.duration is not None
    )
    if not has_end:
        # Invalid times are left out with a warning.
        invalid_fields = [one for one in ping.warnings if " is left out: " in one]
        raise PingError("; ".join((HISTORY_WITHOUT_TIMES, *invalid_fields)))


def invalid(job: str, at: float, fingerprint: bytes, error: PingError) -> Ping:
    """Return the ping that represents an unreadable report."""
    return Ping(
        job=job,
        kind=Kind.FINISH,
        at=at,
        outcome=Outcome.INVALID,
        message=str(error),
        fingerprint=fingerprint,
    )


def _validated(
    fields: dict[str, Any], claims: outcome_claims.ClaimedOutcome
) -> tuple[Report, list[str]]:
    usable = {name: value for name, value in fields.items() if name not in CLAIMS}
    unknown = [
        name for name in usable if name not in FIELDS and name not in claims.names
    ]
    if not claims.names & CLAIMS.keys() and claims.outcome not in FAILURES:
        _refuse_misspelt(usable, unknown[:MAX_UNKNOWN])
    warnings = [_unknown(name, _similar_field(name)) for name in unknown[:MAX_UNKNOWN]]
    if len(unknown) > MAX_UNKNOWN:
        more = len(unknown) - MAX_UNKNOWN
        warnings.append(f"{plural(more, 'more field is', 'more fields are')} unknown")
    try:
        return Report.model_validate(usable), warnings
    except ValidationError as error:
        for problem in findings(Report, usable, error):
            name = str(problem.path[0])
            if usable.pop(name, None) is not None:
                warnings.append(f"{name} is left out: {problem.message}")
        return Report.model_validate(usable), warnings


def _with_unknown_texts(
    fields: dict[str, Any], claims: outcome_claims.ClaimedOutcome
) -> dict[str, Any]:
    """Return *fields* with unknown texts as metadata, and errors as the message."""
    unknown = fields.keys() - FIELDS - claims.names
    texts = [name for name in unknown if isinstance(fields[name], str) and fields[name]]
    # A text that is similar to the name of a field gets a warning instead.
    texts = sorted(name for name in texts[:MAX_UNKNOWN] if _similar_field(name) is None)
    error = next((fields[name] for name in ERRORS if fields.get(name)), None)
    if not texts and (error is None or fields.get("message")):
        return fields
    more = {name: value for name, value in fields.items() if name not in texts}
    existing = fields.get("metadata")
    if texts and (existing is None or isinstance(existing, dict)):
        more["metadata"] = {
            **{name: fields[name] for name in texts},
            **(existing or {}),
        }
    if error is not None and not fields.get("message"):
        more["message"] = message_of(error)
    return more


def _refuse_misspelt(fields: dict[str, Any], unknown: list[str]) -> None:
    # With only a warning, {"stauts": "fail"} would be a success.
    for name in unknown:
        claim = _near_claim(name[:MAX_WORD])
        if isinstance(fields[name], CLAIMS.get(claim, ())):
            raise PingError(_unknown(name, claim))


@lru_cache(maxsize=1024)
def _near_claim(name: str) -> str:
    return (get_close_matches(name.lower(), CLAIMS, 1, 0.8) or ("",))[0]


def _duration(report: Report) -> float | None:
    if report.duration_ms is not None:
        return report.duration_ms / 1000
    return report.duration_seconds


def _unknown(name: str, similar: str | None) -> str:
    hint = (
        f"; did you mean {similar!r}?"
        if similar
        else ": report numbers under 'metrics'"
    )
    return f"{show((name,))}: unknown key{hint}"


@lru_cache(maxsize=1024)
def _similar_field(name: str) -> str | None:
    if len(name) > MAX_WORD:
        return None
    return near(name.lower(), FIELDS)


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "an array; send lists to /ping"
    return "null" if value is None else f"the value {value!r:.40}"


def _key(header: str | None) -> tuple[str | None, list[str]]:
    # Headers may contain any byte; keep different keys distinct.
    raw = (header or "").encode("utf-8", "surrogateescape")
    key = raw.decode("utf-8", "backslashreplace")
    if len(key) > MAX_RUN_ID:
        problem = f"{quote(key)} is too long: at most {MAX_RUN_ID} characters"
        return None, [f"Idempotency-Key is left out: {problem}"]
    return key or None, []


def message_text(text: str) -> tuple[str, list[str]]:
    """Return *text* as it is stored, and warnings."""
    whole = clean(text)
    if len(whole) <= MAX_MESSAGE:
        return whole, []
    warning = f"message: only its last {MAX_MESSAGE} characters are kept"
    return whole[-MAX_MESSAGE:], [warning]


def metadata_text(value: dict[str, Any] | None) -> tuple[str, list[str]]:
    """Return *value* as it is stored, and warnings."""
    if value is None:
        return "", []
    remarks: list[str] = []
    if secret := [name for name in value if name.lower() in SECRETS]:
        value = {**value, **dict.fromkeys(secret, HIDDEN)}
        names = ", ".join(sorted(secret)[:MAX_SECRETS])
        remarks = [f"{names}: not kept, for it may be a secret"]
    try:
        text = _dumped(value)
        if r"\ud" in text:
            whole = json.loads(clean(json.dumps(value, ensure_ascii=False)))
            text = _dumped(whole)
    except (ValueError, RecursionError):
        return "", [INVALID_METADATA]
    return text, remarks


def _dumped(value: dict[str, Any]) -> str:
    if _is_small(value):
        return json.dumps(value, allow_nan=False)
    # A single call would block the interpreter, and so the event loop.
    return "".join(_ENCODER.iterencode(value))


def _is_small(value: dict[str, Any]) -> bool:
    count = 0
    rest: list[Any] = [value]
    while rest:
        inner = rest.pop()
        count += len(inner)
        if count > MAX_DUMPED:
            return False
        values = inner.values() if isinstance(inner, dict) else inner
        rest += [one for one in values if isinstance(one, dict | list)]
    return True


def clean(text: str) -> str:
    """Return *text* without characters that UTF-8 cannot encode."""
    # JSON allows lone surrogates (\ud800); UTF-8, and so SQLite, does not.
    return text.encode("utf-8", "replace").decode()
