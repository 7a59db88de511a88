"""Parsing and validation of forms on the pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from afterrun_exporter.auth import form_tokens
from afterrun_exporter.core.receiver_targets import check_target
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.errors import PingError, RequestError
from afterrun_exporter.ingest.bodies import read_body
from afterrun_exporter.ingest.forms import URLENCODED

#: The maximum size of a form in bytes.
LARGEST: Final = 16 * 1024

#: Events that a receiver can be notified of, with their labels.
FLAGS: Final = {
    "on_failure": "failures",
    "on_timeout": "runs that take too long",
    "on_violation": "broken rules",
    "on_missed": "missed runs",
    "on_success": "runs that ended ok",
}

#: Durations of a pause; "" until the job is resumed.
PAUSES: Final = {"1h": "for 1 hour", "1d": "for 1 day", "": "until resumed"}

#: What is said after a form, by the word in the address.
DONE: Final = {
    "paused": "The job is paused and its alerts are resolved.",
    "resumed": "The job is monitored again.",
    "retired": "The job is removed. Its next ping registers it again as a new job.",
    "receiver-stored": "The receiver is added. AfterRun does not manage alertmanager.yml here: "
    "run afterrun generate alertmanager to activate it.",
    "receiver-written": "The receiver is added to alertmanager.yml; "
    "Alertmanager uses it after its next reload.",
    "receiver-reloading": "The receiver is added to alertmanager.yml; "
    "Alertmanager loads it in a moment.",
    "receiver-reloaded": "The receiver is added and active in Alertmanager.",
    "receiver-removed": "The receiver is removed.",
}


async def read_form(
    request: web.Request, guard: form_tokens.Forms, fields: frozenset[str]
) -> dict[str, str]:
    """Return the form in the body of *request* after the CSRF check.

    Raises RequestError if it cannot be parsed or has fields other than *fields*.
    """
    if request.content_type != URLENCODED:
        raise RequestError(f"the body is {request.content_type}: send {URLENCODED}")
    try:
        body = await read_body(request, LARGEST)
    except PingError as error:
        raise RequestError(str(error)) from None
    except web.HTTPRequestEntityTooLarge:
        raise RequestError(
            f"the form is too large: send at most {LARGEST} bytes"
        ) from None
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        raise RequestError("the form cannot be read: send it as UTF-8") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise RequestError("a form field is sent twice: send it once")
    guard.check(request, form)
    form.pop(form_tokens.FIELD, None)
    if unknown := sorted(form.keys() - fields):
        raise RequestError(f"unknown field {unknown[0][:60]!r} in the form")
    return form


def pause_of(form: Mapping[str, str]) -> float:
    """Return the seconds of the requested pause; 0: until the job is resumed."""
    duration = form.get("for", "")
    if duration not in PAUSES:
        offered = ", ".join(repr(one) for one in PAUSES)
        raise RequestError(
            f"for: {duration[:60]!r} is not offered: use one of {offered}"
        )
    return parse_duration(duration) if duration else 0.0


def receiver_of(job: str, form: Mapping[str, str], now: float) -> JobReceiver:
    """Return the receiver that *form* describes; raise RequestError if it does not."""
    try:
        kind = ReceiverType(form.get("alert_type", ""))
    except ValueError:
        raise RequestError(
            f"unknown receiver type: choose one of {', '.join(ReceiverType)}"
        ) from None
    target = form.get("target", "").strip()
    if not target:
        raise RequestError("the target is empty: enter a URL or a mail address")
    try:
        check_target(kind, target)
    except ValueError as error:
        raise RequestError(f"the target cannot be used: {error}") from None
    flags = {name: name in form for name in FLAGS}
    if not any(flags.values()):
        raise RequestError(
            "the receiver would never be notified: choose at least one event"
        )
    return JobReceiver(job=job, type=kind, target=target, created_at=now, **flags)
