"""Healthchecks' pinging API, as its many clients speak it.

``/ping/UUID[/SIGNAL]``, ``/UUID[/SIGNAL]`` and ``/ping/KEY/SLUG[/SIGNAL]``, as on
https://healthchecks.io/docs/http_api/. A signal is a verb or an exit status; without
one the job ran, and ran well. The key is whose job it is; any is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from msgspec.structs import replace

from afterrun_exporter.access.paths import without_key
from afterrun_exporter.core.model import UUID, Ping
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.errors import ForbiddenError, PingError, UnknownJobError
from afterrun_exporter.ingest import reports
from afterrun_exporter.ingest.desk import (
    BY_KEY,
    Desk,
    caller_of,
    job_name,
    numbers,
    read_text,
    sender,
)
from afterrun_exporter.ingest.jsontext import read_json
from afterrun_exporter.ingest.readings import Readings

DIALECT: Final = "healthchecks"

#: What the words in a URL are in a report of our own.
VERBS: Final[Mapping[str, str]] = {
    "": "ok",
    "start": "start",
    "fail": "fail",
    "log": "log",
}
#: The last path segment, where it is not a slug.
SIGNAL: Final = re.compile(r"start|fail|log|[0-9]+")
MAX_EXIT_STATUS: Final = 255

DURATIONS: Final = frozenset({"duration_ms", "duration_seconds"})
#: Parameters that make or change a check, and are no metrics.
SCHEDULE: Final = frozenset({"timeout", "grace", "schedule", "tz"})
NO_METRICS: Final = SCHEDULE | {"rid", "create"}

FORM: Final = "application/x-www-form-urlencoded"

#: The peer's own words: clients look for them.
BAD_URL: Final = "invalid url format"
BAD_RID: Final = "invalid uuid format"
NOT_FOUND: Final = "not found"

#: As aiohttp's routes want it: any case is taken.
_UUID: Final = UUID.pattern.replace("a-f", "a-fA-F")

ALLOW: Final = {
    "Allow": "GET, HEAD, POST",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "*",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a request says about a job."""

    #: A verb or an exit status; "" for a success.
    signal: str = ""
    #: The parameters, in their order.
    query: tuple[tuple[str, str], ...] = ()
    text: str = ""
    #: Whether `text` may be a form.
    form: bool = False


def ping_of(
    job: str, said: Said, *, at: float, fingerprint: bytes, metrics_limit: int
) -> tuple[Ping, Readings]:
    """Return the ping that *said* stands for, and what became of its metrics.

    Raises PingError, in the peer's words, for a signal or a run id that is none.
    """
    found = _numbers(said)
    fields: dict[str, Any] = {
        **_signal(said.signal),
        **{name: found.pop(name) for name in DURATIONS & found.keys()},
        "run_id": _run_id(said.query),
        "message": said.text,
        "metrics": found,
    }
    ping, readings = reports.ping_of(
        job, fields, at=at, fingerprint=fingerprint, metrics_limit=metrics_limit
    )
    unread = tuple(
        f"{name} is not read: the schedule of a job stands in afterrun.yml"
        for name, _ in said.query
        if name in SCHEDULE
    )
    return replace(ping, warnings=(*ping.warnings, *unread)), readings


def routes(desk: Desk) -> list[web.RouteDef]:
    """Return the routes of jobs that are named by a UUID.

    Whatever the method, it is a ping: clients use what they like.
    """
    handle = _handler(desk)
    uuid = f"{{job:{_UUID}}}"
    return [
        web.route(hdrs.METH_ANY, f"{prefix}/{uuid}{rest}", handle)
        for prefix in ("/ping", "")
        for rest in ("{slash:/?}", "/{signal}{slash:/?}")
    ]


def by_slug(desk: Desk) -> Handler:
    """Return the handler of ``/ping/KEY/SLUG`` and ``/ping/KEY/SLUG/SIGNAL``.

    What is a signal is no slug: ``/ping/JOB/SIGNAL`` is of the job of that name.
    """
    return _handler(desk)


def _handler(desk: Desk) -> Handler:
    intake = desk.intake(DIALECT)

    async def handle(request: web.Request) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            # Browsers send it unasked: it is never a ping.
            return web.Response(status=204, headers=ALLOW)
        named, signal = _target(request.match_info, request[BY_KEY])
        text, _ = await read_text(request, desk.body_limit)
        query = request.rel_url.raw_query_string
        said = Said(
            signal,
            tuple(request.query.items()),
            text,
            form=request.content_type == FORM,
        )
        try:
            job = _job(named, signal)
            ping, readings = ping_of(
                job,
                said,
                at=desk.clock.now(),
                fingerprint=digest(
                    sender(request), signal.encode(), query.encode(), text.encode()
                ),
                metrics_limit=intake.metrics_limit,
            )
        except (PingError, UnknownJobError) as error:
            path = without_key(request.rel_url.raw_path_qs)[:200]
            intake.refuse(named, f"{error}: {path}")
            return _refusal(desk, error)
        new = request.query.get("create") == "1" and not desk.is_known(job)
        received = intake.readable(ping, readings)
        made = await intake.take(received, caller_of(request))
        if isinstance(made, PingError | UnknownJobError | ForbiddenError):
            return _refusal(desk, made)
        if isinstance(made, Exception):
            raise made
        return _answer(desk, 201, "Created") if new else _answer(desk, 200, "OK")

    return handle


def _target(match: Mapping[str, str], by_key: bool) -> tuple[str, str]:
    """Return what names the job, and the signal.

    With *by_key* it is known that the key is one, and no job.
    """
    if "key" not in match:
        return match["job"].lower(), match.get("signal", "")
    key, slug, signal = match["key"], match["job"], match.get("signal", "")
    # A verb after the name of a job is for that job, not a job called "start".
    if not signal and SIGNAL.fullmatch(slug) and not by_key:
        return key, slug
    return slug, signal


def _job(named: str, signal: str) -> str:
    """Return the name of the job, where *signal* is one; raise errors in the peer's words."""
    if signal and not SIGNAL.fullmatch(signal):
        raise UnknownJobError(NOT_FOUND)
    try:
        return job_name(named)
    except PingError:
        raise PingError(BAD_URL) from None


def _signal(signal: str) -> dict[str, Any]:
    """Return the fields of a report that *signal* stands for."""
    if (verb := VERBS.get(signal)) is not None:
        return {"status": verb}
    # Thousands of digits are too many for int().
    digits = signal.lstrip("0") or "0"
    if len(digits) > 3 or int(digits) > MAX_EXIT_STATUS:
        raise PingError(BAD_URL)
    return {"exit_code": int(digits)}


def _run_id(query: tuple[tuple[str, str], ...]) -> str | None:
    """Return what names the run: the last ``rid``; an empty one is none."""
    rid = dict(query).get("rid", "").lower()
    if rid and not UUID.fullmatch(rid):
        raise PingError(BAD_RID)
    return rid or None


def _numbers(said: Said) -> dict[str, Any]:
    """Return the numbers in the query and in the body, which counts for more."""
    asked = ((name, text) for name, text in said.query if name not in NO_METRICS)
    return {**numbers(asked), **_body(said)}


def _body(said: Said) -> dict[str, Any]:
    text = said.text.strip()
    if text.startswith("{"):
        return _json(text)
    # Curl calls everything a form. One has no spaces, and what a job says has.
    if said.form and not re.search(r"\s", text):
        return numbers(parse_qsl(text, keep_blank_values=True))
    return {}


def _json(text: str) -> dict[str, Any]:
    try:
        body = read_json(text.encode())
    except PingError:
        # Clients call any text JSON: it is the message and no more.
        return {}
    given = body.get("metrics")
    return {
        **{
            name: value
            for name, value in body.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        },
        **(given if isinstance(given, dict) else {}),
    }


def _refusal(desk: Desk, error: Exception) -> web.Response:
    if isinstance(error, UnknownJobError):
        return _answer(desk, 404, NOT_FOUND)
    if isinstance(error, ForbiddenError):
        return _answer(desk, 403, str(error))
    return _answer(desk, 400, str(error))


def refused(status: int, text: str) -> web.Response:
    """Return what whoever may not ping is told."""
    headers = {"Access-Control-Allow-Origin": "*"}
    return web.Response(status=status, text=text, headers=headers)


def _answer(desk: Desk, status: int, text: str) -> web.Response:
    return web.Response(
        status=status,
        text=text,
        headers={
            "Ping-Body-Limit": str(desk.body_limit),
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private",
        },
    )
