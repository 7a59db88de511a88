"""What people fill in: every POST of a page is read, and checked, here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.targets import check_target
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.errors import PingError, RequestError
from afterrun_exporter.ingest.bodies import read_body

#: Bytes of a form; ours are far smaller.
LARGEST: Final = 16 * 1024
TYPE: Final = "application/x-www-form-urlencoded"

#: The hidden field of every form.
HIDDEN: Final = "token"

#: What a receiver can be told of, and what that is called.
FLAGS: Final = {
    "on_failure": "failures",
    "on_timeout": "runs that take too long",
    "on_violation": "broken rules",
    "on_missed": "missed runs",
    "on_success": "runs that ended ok",
}

#: How long a job can be paused from its page; "" until somebody resumes it.
PAUSES: Final = {"1h": "for 1 hour", "1d": "for 1 day", "": "until resumed"}


class Guard(Protocol):
    """Sees to it that a form was sent from a page of ours."""

    def token(self, request: web.BaseRequest) -> str:
        """Return what a form is to carry along in its field `HIDDEN`."""
        ...

    def check(self, request: web.BaseRequest, form: Mapping[str, str]) -> None:
        """Raise ForbiddenError for a form that no page of ours has sent."""
        ...


async def read_form(
    request: web.Request, guard: Guard, fields: frozenset[str]
) -> dict[str, str]:
    """Return the form in the body of *request*, once it is found to be one of ours.

    Raises RequestError for one that cannot be read or has other *fields*.
    """
    if request.content_type != TYPE:
        raise RequestError(f"the body is {request.content_type}: send {TYPE}")
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
        raise RequestError("a field of the form is given twice: give it once")
    guard.check(request, form)
    form.pop(HIDDEN, None)
    if unknown := sorted(form.keys() - fields):
        raise RequestError(f"unknown field {unknown[0][:60]!r} in the form")
    return form


def pause_of(form: Mapping[str, str], now: float) -> float | None:
    """Return until when a pause is asked for; None until somebody resumes the job."""
    wanted = form.get("for", "")
    if wanted not in PAUSES:
        offered = ", ".join(repr(one) for one in PAUSES)
        raise RequestError(f"for: {wanted[:60]!r} is not offered: use one of {offered}")
    return now + parse_duration(wanted) if wanted else None


def receiver_of(job: str, form: Mapping[str, str], now: float) -> JobReceiver:
    """Return the receiver that *form* describes; raise RequestError if it does not."""
    try:
        kind = ReceiverType(form.get("alert_type", ""))
    except ValueError:
        raise RequestError(
            f"choose one of {', '.join(ReceiverType)} as the way to be told"
        ) from None
    target = form.get("target", "").strip()
    if not target:
        raise RequestError("the target is empty: give a URL or a mail address")
    try:
        check_target(kind, target)
    except ValueError as error:
        raise RequestError(f"the target cannot be used: {error}") from None
    flags = {name: name in form for name in FLAGS}
    if not any(flags.values()):
        raise RequestError("nobody would ever be told: choose at least one occasion")
    return JobReceiver(job=job, type=kind, target=target, created_at=now, **flags)
