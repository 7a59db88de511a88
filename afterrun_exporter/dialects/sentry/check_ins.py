"""Check-ins of Sentry Crons: by URL, and in the envelopes of its SDKs.

https://docs.sentry.io/product/crons/getting-started/http/ and
https://develop.sentry.dev/sdk/telemetry/check-ins/ document the formats. The project
and the key identify the owner of the job; any is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from msgspec import json
from msgspec.structs import replace

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Caller
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import FAILURES, Kind, Outcome, Ping
from afterrun_exporter.dialects.context import DialectContext, describe, job_name
from afterrun_exporter.dialects.report_fields import fields_of, with_claimed_outcome
from afterrun_exporter.dialects.sentry import events
from afterrun_exporter.dialects.sentry.monitors import description_of
from afterrun_exporter.errors import ForbiddenError, PingError, UnknownJobError
from afterrun_exporter.ingest.bodies import parsed, read_body
from afterrun_exporter.ingest.fields import MAX_TIME
from afterrun_exporter.ingest.json_text import Object
from afterrun_exporter.ingest.recorder import Received, ReportRecorder, sender
from afterrun_exporter.ingest.reports import clean
from afterrun_exporter.ingest.responses import compact

DIALECT: Final = "sentry"

STATUSES: Final[Mapping[str, tuple[Kind, Outcome]]] = {
    "in_progress": (Kind.START, Outcome.OK),
    "ok": (Kind.FINISH, Outcome.OK),
    "error": (Kind.FINISH, Outcome.FAIL),
    "timeout": (Kind.FINISH, Outcome.TIMEOUT),
}

#: Fields of a check-in with a meaning in this dialect.
FIELDS: Final = frozenset(
    {
        *("status", "check_in_id", "monitor_slug", "environment", "release"),
        *("monitor_config", "contexts", "duration", "sentry_key"),
    }
)

#: Longer slugs are cut, longer environments refused, as Sentry does.
MAX_SLUG: Final = 50
MAX_ENVIRONMENT: Final = 64
#: The environment of check-ins without one.
PRODUCTION: Final = "production"

#: Clients send one per envelope; recording many would delay other requests.
MAX_CHECK_INS: Final = 100
#: The most bytes in the header of an envelope or an item.
LONGEST_HEADER: Final = 65_536

_BETWEEN: Final = re.compile(rb"[\r\n]*")
_OBJECT: Final = json.Decoder(dict[str, Any])
_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the cron URLs and of the envelopes."""
    recorder = context.recorder(DIALECT)
    by_url = _with_error_responses(recorder, partial(cron_url, context, recorder))
    by_envelope = _with_error_responses(recorder, partial(envelope, context, recorder))
    return [
        *endpoints.CHECK_IN.to(by_url),
        *endpoints.ENVELOPE.to(by_envelope),
        *events.routes(context),
    ]


async def cron_url(
    context: DialectContext, recorder: ReportRecorder, request: web.Request
) -> web.Response:
    """Record a check-in in a URL and an optional JSON body."""
    body = await read_body(request, context.body_limit)
    kind = request.headers.get(hdrs.CONTENT_TYPE, "")
    query = [*request.query.items()]
    fields = await parsed(
        len(body), lambda: fields_of(query, body.decode("utf-8", "replace"), kind)
    )
    fields["monitor_slug"] = request.match_info["job"]
    raw = b"%b\n%b" % (request.rel_url.raw_query_string.encode(), body)
    one = await _received(context, recorder, request, CheckIn(fields, raw))
    await _take(recorder, [one], caller_of(request))
    return web.Response(status=202)


async def envelope(
    context: DialectContext, recorder: ReportRecorder, request: web.Request
) -> web.Response:
    """Record the check-ins in an envelope; other items are ignored."""
    try:
        header, check_ins = await read_envelope(
            await read_body(request, context.body_limit)
        )
    except PingError as error:
        recorder.refuse("", str(error))
        raise
    if check_ins:
        received = [
            await _received(context, recorder, request, one)
            async for one in cooperatively(check_ins)
        ]
        await _take(recorder, received, caller_of(request))
    event = events.event_id(header.get("event_id"))
    return compact({"id": event} if event else {})


@dataclass(frozen=True, slots=True)
class CheckIn:
    """The payload of a check-in, parsed and as it was sent."""

    fields: Mapping[str, Any]
    raw: bytes


async def read_envelope(body: bytes) -> tuple[dict[str, Any], list[CheckIn]]:
    """Return the header of an envelope and the check-ins in it.

    Reading ends at a malformed item; the check-ins before it are returned. Raises
    PingError for an invalid header and for too many check-ins. Yields to the event
    loop between items.
    """
    first, rest = _line(body, 0)
    try:
        header = _OBJECT.decode(first[: LONGEST_HEADER + 1])
    except (ValueError, RecursionError):
        raise PingError(
            "an envelope begins with a line that is a JSON object"
        ) from None
    check_ins: list[CheckIn] = []
    async for kind, content in cooperatively(_items(body, rest)):
        if kind == "check_in":
            payload = await parsed(len(content), partial(_object, content))
            check_ins += [CheckIn(payload, content)] if payload else []
        if len(check_ins) > MAX_CHECK_INS:
            raise PingError(
                f"the envelope has more than {MAX_CHECK_INS} check-ins: nothing was "
                "recorded; send each in an envelope of its own"
            )
    return header, check_ins


def ping_of(fields: Mapping[str, Any], at: float, fingerprint: bytes) -> Ping:
    """Return the ping for a check-in; raise PingError if it is invalid."""
    kind, outcome = _status(fields)
    run_id, release = _run_id(fields.get("check_in_id")), fields.get("release")
    metadata = {"release": clean(str(release))} if release else {}
    ping = Ping(
        job=job_of(fields),
        kind=kind,
        at=at,
        outcome=outcome,
        run_id=run_id,
        keeps_alive=kind is Kind.START and run_id is not None,
        duration=None if kind is Kind.START else _seconds(fields.get("duration")),
        metadata=json.encode(metadata).decode() if metadata else "",
        fingerprint=fingerprint,
    )
    return with_claimed_outcome(ping, Object(fields), FIELDS)


def _status(fields: Mapping[str, Any]) -> tuple[Kind, Outcome]:
    """Return the worst status of a check-in; raises PingError for an unknown one."""
    statuses = (
        fields.all("status") if isinstance(fields, Object) else [fields.get("status")]
    )
    meanings = []
    for status in statuses or [""]:
        if not isinstance(status, str) or status not in STATUSES:
            text = "" if status is None else str(status)
            raise PingError(
                f"unknown status {text[:40]!r}: use one of {', '.join(STATUSES)}"
            )
        meanings.append(STATUSES[status])
    return next((one for one in meanings if one[1] in FAILURES), meanings[-1])


def job_of(fields: Mapping[str, Any]) -> str:
    """Return the job of a check-in: each environment of a monitor is a job.

    Raises PingError if the check-in names no monitor.
    """
    slug = str(fields.get("monitor_slug") or "")[:MAX_SLUG]
    environment = str(fields.get("environment") or PRODUCTION)
    if not slug:
        raise PingError("monitor_slug is missing: name the monitor of the check-in")
    if len(environment) > MAX_ENVIRONMENT:
        raise PingError(
            f"environment has {len(environment)} characters: use at most "
            f"{MAX_ENVIRONMENT}"
        )
    return job_name(slug if environment == PRODUCTION else f"{slug}:{environment}")


def _items(body: bytes, at: int) -> Iterator[tuple[str, bytes]]:
    """Yield the type and the content of each item of *body*, from *at* on.

    Each item is copied once.
    """
    while True:
        between = _BETWEEN.match(body, at)
        line, at = _line(body, between.end() if between else at)
        header = _object(line[: LONGEST_HEADER + 1])
        length = header.get("length")
        if not header:
            return
        if isinstance(length, int) and not isinstance(length, bool) and length >= 0:
            content, at = body[at : at + length], at + length
        else:
            content, at = _line(body, at)
        yield str(header.get("type", "")), content


def _line(body: bytes, at: int) -> tuple[bytes, int]:
    """Return the line of *body* that begins at *at*, and the start of the next one."""
    end = body.find(b"\n", at)
    return (body[at:], len(body)) if end < 0 else (body[at:end], end + 1)


def _object(text: bytes) -> dict[str, Any]:
    """Return *text* decoded as a JSON object; an empty one if it is invalid."""
    try:
        return _OBJECT.decode(text)
    except (ValueError, RecursionError):
        return {}


def _run_id(value: object) -> str | None:
    """Return a check-in's id in its canonical spelling; None if it is no UUID."""
    try:
        uuid = UUID(str(value))
    except ValueError:
        return None
    return uuid.hex if uuid.int else None


def _seconds(value: object) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < MAX_TIME else None


async def _received(
    context: DialectContext,
    recorder: ReportRecorder,
    request: web.Request,
    check_in: CheckIn,
) -> Received:
    fields, now = check_in.fields, context.clock.now()
    mark = digest(sender(request), check_in.raw)
    try:
        ping = await parsed(len(check_in.raw), lambda: ping_of(fields, now, mark))
    except PingError as error:
        return recorder.unreadable(_job_or_empty(fields), now, mark, error)
    config = fields.get("monitor_config")
    if config is None:
        return ping
    caller, description = caller_of(request), description_of(config)
    warnings = await describe(context, recorder, ping.job, *description, caller)
    return replace(ping, warnings=warnings)


def _job_or_empty(fields: Mapping[str, Any]) -> str:
    try:
        return job_of(fields)
    except PingError:
        return ""


async def _take(
    recorder: ReportRecorder, received: list[Received], caller: Caller
) -> None:
    """Record check-ins; raise the first error if all of them are refused."""
    results = await recorder.record_all(received, caller)
    errors = [result for result in results if isinstance(result, Exception)]
    if len(errors) == len(results):
        raise errors[0]


def refused(status: int, text: str) -> web.Response:
    """Return an error response in Sentry's format."""
    return compact({"detail": text}, status)


def _with_error_responses(recorder: ReportRecorder, handler: Handler) -> Handler:
    """Return *handler* with error responses in Sentry's format."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except PingError as error:
            return compact({"detail": str(error)}, 400)
        except UnknownJobError as error:
            return compact({"detail": str(error)}, 404)
        except ForbiddenError as error:
            return refused(403, str(error))
        except web.HTTPRequestEntityTooLarge as error:
            recorder.refuse(request.match_info.get("job", ""), error.text or "")
            return compact({"detail": error.text}, 413)

    return handle
