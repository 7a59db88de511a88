"""Pings of Healthchecks' pinging API, independent of the address format.

A signal is a verb or an exit status; a ping without a signal reports a success.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from afterrun_exporter.core.model import FAILURES, UUID, Kind, Outcome, Ping
from afterrun_exporter.dialects.healthchecks import checks
from afterrun_exporter.errors import PingError, RequestError
from afterrun_exporter.ingest import forms, outcome_claims, reports
from afterrun_exporter.ingest.json_text import Object
from afterrun_exporter.ingest.report_metrics import ReportMetrics
from afterrun_exporter.ingest.report_parsing import parse_object
from afterrun_exporter.ingest.vocabulary import (
    MAX_WORD,
    Meaning,
    Sense,
    meaning,
    sense_of,
)

#: The meaning of the verbs in a URL.
VERBS: Final[Mapping[str, Meaning]] = {
    "": (Kind.FINISH, Outcome.OK),
    "start": (Kind.START, Outcome.OK),
    "fail": (Kind.FINISH, Outcome.FAIL),
    "log": (Kind.LOG, Outcome.OK),
}
#: The last path segment, if it is not a slug.
SIGNAL: Final = re.compile(r"start|fail|log|[0-9]+")
MAX_EXIT_STATUS: Final = 255

DURATIONS: Final = frozenset({"duration_ms", "duration_seconds"})
#: Parameters that describe a new check, and are no metrics.
SCHEDULE: Final = frozenset({"timeout", "grace", "schedule", "tz"})
NO_METRICS: Final = SCHEDULE | {"rid", "create"}
CREATE: Final = ("create", "1")

#: Numbers in fields with these meanings are no metrics.
FLAGS: Final = frozenset(
    {Sense.STATUS, Sense.STATE, Sense.EXIT_CODE, Sense.SUCCESS, Sense.HTTP_STATUS}
)

#: Healthchecks' error texts, which clients compare.
BAD_URL: Final = "invalid url format"
BAD_RID: Final = "invalid uuid format"
NOT_FOUND: Final = "not found"

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class BadAddressError(PingError):
    """The address of a request has an invalid signal or run id."""


@dataclass(frozen=True, slots=True)
class SignalReport:
    """The contents of one ping."""

    #: A verb or an exit status; "" for a success.
    signal: str = ""
    #: The parameters, in their order.
    query: tuple[tuple[str, str], ...] = ()
    text: str = ""
    #: True if `text` may be a form.
    form: bool = False
    #: The Content-Type of a multipart body.
    multipart: str = ""


def ping_of(
    job: str, report: SignalReport, *, at: float, fingerprint: bytes, metrics_limit: int
) -> tuple[Ping, ReportMetrics]:
    """Return the ping described by *report*, and the result of reading its metrics.

    Raises BadAddressError with Healthchecks' message for an invalid signal or run id,
    and PingError for an invalid body or query.
    """
    fields, address = _fields(report)
    ping, report_metrics = reports.ping_of(
        job,
        fields,
        at=at,
        fingerprint=fingerprint,
        metrics_limit=metrics_limit,
        address=address,
    )
    if CREATE in report.query:
        return ping, report_metrics
    unread = tuple(
        f"{name} is ignored: it applies only to a new job, with create=1"
        for name, _ in report.query
        if name in SCHEDULE
    )
    return replace(ping, warnings=(*ping.warnings, *unread)), report_metrics


def description_of(report: SignalReport) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a new job, and the problems of invalid parameters."""
    if CREATE not in report.query:
        return {}, []
    fields: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in dict(report.query).items():
        if name not in SCHEDULE or not value:
            continue
        try:
            fields |= checks.validated({name: _parameter(name, value)})
        except RequestError as error:
            problems.append(str(error).removeprefix(checks.INVALID))
    return checks.description_of(fields), problems


def _parameter(name: str, value: str) -> str | int:
    if name not in checks.USUAL:
        return value
    if not _SECONDS.fullmatch(value):
        raise RequestError(f"{name} is {value[:40]!r}: use a number of seconds")
    return int(value)


def _fields(report: SignalReport) -> tuple[Object, Meaning]:
    """Return the fields of a native report, and the outcome that the path claims."""
    code = _exit_code(report.signal)
    run_id = _run_id(report.query)
    body, failure = _body(report)
    parameters = ((name, text) for name, text in report.query if name not in NO_METRICS)
    fields = forms.combined(forms.fields_of(parameters), body)
    if not isinstance(fields.get("message"), str) or not report.form:
        fields["message"] = report.text or fields.get("message")
    if run_id is not None:
        fields["run_id"] = run_id
    if code is not None:
        fields.replaced = (*fields.replaced, ("exit_code", code))
    if (word := _word(report)) is not None:
        fields.replaced = (*fields.replaced, ("status", word))
    address = _address(report.signal)
    if address[0] is not Kind.FINISH:
        return _without_claims(fields), address
    return fields, failure if failure and not report.signal else address


def _word(report: SignalReport) -> str | None:
    """Return the body if it is a single word for a failure."""
    word = (
        report.text.strip("\ufeff\"' \t\r\n")
        if len(report.text) <= 2 * MAX_WORD
        else ""
    )
    claim = meaning(word)
    return word if claim is not None and claim[1] in FAILURES else None


def _without_claims(fields: Object) -> Object:
    """Return *fields* without claims: the body of an open run may be any output."""
    metrics = fields.get("metrics")
    own = Object((name, fields[name]) for name in fields.keys() & reports.OWN_FIELDS)
    if isinstance(metrics, dict):
        plain = {name: metrics[name] for name in metrics if sense_of(name) is None}
        own["metrics"] = plain
    return own


def _exit_code(signal: str) -> int | None:
    """Return the exit code in *signal*; None for a verb."""
    if signal in VERBS:
        return None
    # int() refuses thousands of digits.
    digits = signal.lstrip("0") or "0"
    if len(digits) > 3 or int(digits) > MAX_EXIT_STATUS:
        raise BadAddressError(BAD_URL)
    return int(digits)


def _address(signal: str) -> Meaning:
    return VERBS[signal] if signal in VERBS else VERBS["fail" if int(signal) else ""]


def _run_id(query: tuple[tuple[str, str], ...]) -> str | None:
    """Return the run id: the last ``rid``, or None if it is empty."""
    rid = dict(query).get("rid", "").lower()
    if rid and not UUID.fullmatch(rid):
        raise BadAddressError(BAD_RID)
    return rid or None


def _body(report: SignalReport) -> tuple[Object, Meaning | None]:
    """Return the fields in the body, and the failure that malformed JSON claims.

    Clients declare any text as JSON, and curl declares any text as a form: a body
    that is neither is only the message.
    """
    text = report.text.strip("\ufeff \t\r\n")
    if report.multipart:
        try:
            return forms.fields_of(forms.multipart(report.text, report.multipart)), None
        except PingError:
            return Object(), None
    if text.startswith(("{", "[")):
        return _json(text)
    if report.form and forms.looks_like_form_in_log(text):
        return forms.fields_of(forms.urlencoded(text)), None
    if forms.looks_urlencoded(text, declared=False):
        # It is not declared as a form, so its numbers are no metrics.
        fields = forms.fields_of(forms.urlencoded(text))
        fields.pop("metrics", None)
        return fields, None
    return Object(), None


def _json(text: str) -> tuple[Object, Meaning | None]:
    try:
        body = parse_object(text)
    except PingError:
        return Object(), outcome_claims.scan(text)
    if isinstance(body, list):
        return Object(items=body), None
    metrics = body.get("metrics") if isinstance(body, dict) else None
    if not isinstance(body, dict):
        return Object(), None
    numbers = {
        name: value
        for name, value in body.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in DURATIONS
        and sense_of(name) not in FLAGS
    }
    fields = Object(
        (name, value)
        for name, value in body.items()
        if name not in reports.OWN_FIELDS or name in DURATIONS
    )
    fields["metrics"] = {**numbers, **(metrics if isinstance(metrics, dict) else {})}
    fields.replaced = getattr(body, "replaced", ())
    return fields, None
