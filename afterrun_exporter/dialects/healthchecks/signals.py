"""What a request to Healthchecks' pinging API says, whichever address it came to.

A signal is a verb or an exit status; without one the job ran, and ran well.
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
from afterrun_exporter.ingest.contents import parse_object
from afterrun_exporter.ingest.json_text import Object
from afterrun_exporter.ingest.readings import Readings
from afterrun_exporter.ingest.vocabulary import (
    MAX_WORD,
    Meaning,
    Sense,
    meaning,
    sense_of,
)

#: What the words in a URL claim.
VERBS: Final[Mapping[str, Meaning]] = {
    "": (Kind.FINISH, Outcome.OK),
    "start": (Kind.START, Outcome.OK),
    "fail": (Kind.FINISH, Outcome.FAIL),
    "log": (Kind.LOG, Outcome.OK),
}
#: The last path segment, where it is not a slug.
SIGNAL: Final = re.compile(r"start|fail|log|[0-9]+")
MAX_EXIT_STATUS: Final = 255

DURATIONS: Final = frozenset({"duration_ms", "duration_seconds"})
#: Parameters that say what a new check is like, and are no metrics.
SCHEDULE: Final = frozenset({"timeout", "grace", "schedule", "tz"})
NO_METRICS: Final = SCHEDULE | {"rid", "create"}
CREATE: Final = ("create", "1")

#: Numbers in fields of these senses are no metrics.
FLAGS: Final = frozenset(
    {Sense.STATUS, Sense.STATE, Sense.EXIT_CODE, Sense.SUCCESS, Sense.HTTP_STATUS}
)

#: The peer's own words: clients look for them.
BAD_URL: Final = "invalid url format"
BAD_RID: Final = "invalid uuid format"
NOT_FOUND: Final = "not found"

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class BadAddressError(PingError):
    """The address of a request names no run of a job."""


@dataclass(frozen=True, slots=True)
class SignalReport:
    """What a request says about a job."""

    #: A verb or an exit status; "" for a success.
    signal: str = ""
    #: The parameters, in their order.
    query: tuple[tuple[str, str], ...] = ()
    text: str = ""
    #: Whether `text` may be a form.
    form: bool = False
    #: The Content-Type of a multipart body.
    multipart: str = ""


def ping_of(
    job: str, said: SignalReport, *, at: float, fingerprint: bytes, metrics_limit: int
) -> tuple[Ping, Readings]:
    """Return the ping that *said* stands for, and what became of its metrics.

    Raises BadAddressError, in the peer's words, for a signal or a run id that is none,
    and PingError for a body or query that cannot be read.
    """
    fields, address = _fields(said)
    ping, readings = reports.ping_of(
        job,
        fields,
        at=at,
        fingerprint=fingerprint,
        metrics_limit=metrics_limit,
        address=address,
    )
    if CREATE in said.query:
        return ping, readings
    unread = tuple(
        f"{name} is read of a job that is new, with create=1"
        for name, _ in said.query
        if name in SCHEDULE
    )
    return replace(ping, warnings=(*ping.warnings, *unread)), readings


def description_of(said: SignalReport) -> tuple[dict[str, Any], list[str]]:
    """Return the description of a new job in the words of afterrun.yml.

    With it come the parameters that cannot be used, and why.
    """
    if CREATE not in said.query:
        return {}, []
    told: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in dict(said.query).items():
        if name not in SCHEDULE or not value:
            continue
        try:
            told |= checks.checked({name: _parameter(name, value)})
        except RequestError as error:
            problems.append(str(error).removeprefix(checks.INVALID))
    return checks.words_of(told), problems


def _parameter(name: str, value: str) -> str | int:
    if name not in checks.USUAL:
        return value
    if not _SECONDS.fullmatch(value):
        raise RequestError(f"{name} is {value[:40]!r}: use a number of seconds")
    return int(value)


def _fields(said: SignalReport) -> tuple[Object, Meaning]:
    """Return the fields of a report of our own, and what the path claims."""
    code = _exit_code(said.signal)
    run_id = _run_id(said.query)
    body, failure = _body(said)
    asked = ((name, text) for name, text in said.query if name not in NO_METRICS)
    fields = forms.combined(forms.fields_of(asked), body)
    if not isinstance(fields.get("message"), str) or not said.form:
        fields["message"] = said.text or fields.get("message")
    if run_id is not None:
        fields["run_id"] = run_id
    if code is not None:
        fields.replaced = (*fields.replaced, ("exit_code", code))
    if (word := _word(said)) is not None:
        fields.replaced = (*fields.replaced, ("status", word))
    address = _address(said.signal)
    if address[0] is not Kind.FINISH:
        return _without_claims(fields), address
    return fields, failure if failure and not said.signal else address


def _word(said: SignalReport) -> str | None:
    """Return the body if it is no more than a word for a failure."""
    word = said.text.strip("\ufeff\"' \t\r\n") if len(said.text) <= 2 * MAX_WORD else ""
    known = meaning(word)
    return word if known is not None and known[1] in FAILURES else None


def _without_claims(fields: Object) -> Object:
    """Return *fields* of a run that goes on: its body may be any output."""
    metrics = fields.get("metrics")
    own = Object((name, fields[name]) for name in fields.keys() & reports.OWN_FIELDS)
    if isinstance(metrics, dict):
        plain = {name: metrics[name] for name in metrics if sense_of(name) is None}
        own["metrics"] = plain
    return own


def _exit_code(signal: str) -> int | None:
    """Return the exit code that *signal* is; None for a verb."""
    if signal in VERBS:
        return None
    # Thousands of digits are too many for int().
    digits = signal.lstrip("0") or "0"
    if len(digits) > 3 or int(digits) > MAX_EXIT_STATUS:
        raise BadAddressError(BAD_URL)
    return int(digits)


def _address(signal: str) -> Meaning:
    return VERBS[signal] if signal in VERBS else VERBS["fail" if int(signal) else ""]


def _run_id(query: tuple[tuple[str, str], ...]) -> str | None:
    """Return what names the run: the last ``rid``; an empty one is none."""
    rid = dict(query).get("rid", "").lower()
    if rid and not UUID.fullmatch(rid):
        raise BadAddressError(BAD_RID)
    return rid or None


def _body(said: SignalReport) -> tuple[Object, Meaning | None]:
    """Return the fields in the body, and the failure that a broken one claims.

    Clients call any text JSON, and curl calls any text a form: one that is neither is
    the message and no more.
    """
    text = said.text.strip("\ufeff \t\r\n")
    if said.multipart:
        try:
            return forms.fields_of(forms.multipart(said.text, said.multipart)), None
        except PingError:
            return Object(), None
    if text.startswith(("{", "[")):
        return _json(text)
    if said.form and forms.looks_like_form_in_log(text):
        return forms.fields_of(forms.urlencoded(text)), None
    if forms.looks_urlencoded(text, declared=False):
        # Nothing says that it is a form: its numbers may be anything.
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
    given = body.get("metrics") if isinstance(body, dict) else None
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
    fields["metrics"] = {**numbers, **(given if isinstance(given, dict) else {})}
    fields.replaced = getattr(body, "replaced", ())
    return fields, None
