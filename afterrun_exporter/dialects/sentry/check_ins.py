"""Check-ins of Sentry Crons: by URL, and in the envelopes of its SDKs.

https://docs.sentry.io/product/crons/getting-started/http/ and
https://develop.sentry.dev/sdk/telemetry/check-ins/ say how they are written. The
project and the key say whose job it is; any is taken.
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

from afterrun_exporter.auth.callers import Caller
from afterrun_exporter.auth.requests import caller_of
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.model import FAILURES, Kind, Outcome, Ping
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.dialects.context import DialectContext, describe, job_name
from afterrun_exporter.dialects.report_fields import Fields, fields_of, judged
from afterrun_exporter.dialects.sentry import events
from afterrun_exporter.dialects.sentry.monitors import words_of
from afterrun_exporter.errors import ForbiddenError, PingError, UnknownJobError
from afterrun_exporter.ingest.bodies import parsed, read_body
from afterrun_exporter.ingest.fields import MAX_TIME
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

#: Fields of a check-in with a meaning of their own.
FIELDS: Final = frozenset(
    {
        *("status", "check_in_id", "monitor_slug", "environment", "release"),
        *("monitor_config", "contexts", "duration", "sentry_key"),
    }
)

#: Longer slugs are cut, longer environments refused, as Sentry does.
MAX_SLUG: Final = 50
MAX_ENVIRONMENT: Final = 64
#: Of the environment that has no name, too.
PRODUCTION: Final = "production"

#: Clients send one an envelope; reading and recording many would hold up others.
MAX_CHECK_INS: Final = 100
#: Bytes of the header of an envelope, or of an item: a longer one cannot be read.
LONGEST_HEADER: Final = 65_536

_BETWEEN: Final = re.compile(rb"[\r\n]*")
_OBJECT: Final = json.Decoder(dict[str, Any])
_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the cron URLs and of the envelopes."""
    recorder = context.recorder(DIALECT)
    by_url = _told(recorder, cron_url(context, recorder))
    monitor = "/api/{project:[0-9]+}/cron/{job}"
    paths = [monitor, f"{monitor}/", f"{monitor}/{{key}}", f"{monitor}/{{key}}/"]
    # aiohttp lets HEAD in where GET is, and a HEAD is no check-in.
    gets = [web.get(path, by_url, allow_head=False) for path in paths]
    posts = [web.post(path, by_url) for path in paths]
    taken = _told(recorder, envelope(context, recorder))
    ends = ("/api/{project:[0-9]+}/envelope/", "/api/{project:[0-9]+}/envelope")
    envelopes = [web.post(path, taken) for path in ends]
    return [*gets, *posts, *envelopes, *events.routes(context)]


def cron_url(context: DialectContext, recorder: ReportRecorder) -> Handler:
    """Return the handler of a check-in whose URL, or JSON body, says it all."""

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, context.body_limit)
        kind = request.headers.get(hdrs.CONTENT_TYPE, "")
        query = [*request.query.items()]
        told = await parsed(
            len(body), lambda: fields_of(query, body.decode("utf-8", "replace"), kind)
        )
        told["monitor_slug"] = request.match_info["job"]
        words = b"%b\n%b" % (request.rel_url.raw_query_string.encode(), body)
        one = await _received(context, recorder, request, CheckIn(told, words))
        await _take(recorder, [one], caller_of(request))
        return web.Response(status=202)

    return handle


def envelope(context: DialectContext, recorder: ReportRecorder) -> Handler:
    """Return the handler of envelopes; what is in them besides is not ours."""

    async def handle(request: web.Request) -> web.Response:
        try:
            header, check_ins = await opened(
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

    return handle


@dataclass(frozen=True, slots=True)
class CheckIn:
    """What a client says of a run, and in which words."""

    told: Mapping[str, Any]
    words: bytes


async def opened(body: bytes) -> tuple[dict[str, Any], list[CheckIn]]:
    """Return the header of an envelope and the check-ins in it.

    What is broken ends it: the check-ins before that are kept. Raises PingError
    where not even the header can be read, and for too many of them. Others get
    their turn meanwhile.
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


def ping_of(told: Mapping[str, Any], at: float, fingerprint: bytes) -> Ping:
    """Return the ping that a check-in stands for; raises PingError if for none."""
    kind, outcome = _status(told)
    run_id, release = _run_id(told.get("check_in_id")), told.get("release")
    metadata = {"release": clean(str(release))} if release else {}
    ping = Ping(
        job=job_of(told),
        kind=kind,
        at=at,
        outcome=outcome,
        run_id=run_id,
        keeps_alive=kind is Kind.START and run_id is not None,
        duration=None if kind is Kind.START else _seconds(told.get("duration")),
        metadata=json.encode(metadata).decode() if metadata else "",
        fingerprint=fingerprint,
    )
    return judged(ping, Fields(told), FIELDS)


def _status(told: Mapping[str, Any]) -> tuple[Kind, Outcome]:
    """Return the worst status of a check-in; raises PingError for an unknown one."""
    statuses = told.all("status") if isinstance(told, Fields) else [told.get("status")]
    found = []
    for status in statuses or [""]:
        if not isinstance(status, str) or status not in STATUSES:
            text = "" if status is None else str(status)
            raise PingError(
                f"unknown status {text[:40]!r}: use one of {', '.join(STATUSES)}"
            )
        found.append(STATUSES[status])
    return next((one for one in found if one[1] in FAILURES), found[-1])


def job_of(told: Mapping[str, Any]) -> str:
    """Return the job of a check-in: each environment of a monitor is one.

    Raises PingError where there is none.
    """
    slug = str(told.get("monitor_slug") or "")[:MAX_SLUG]
    environment = str(told.get("environment") or PRODUCTION)
    if not slug:
        raise PingError("a check-in names its monitor: monitor_slug is missing")
    if len(environment) > MAX_ENVIRONMENT:
        raise PingError(
            f"environment has {len(environment)} characters: use at most "
            f"{MAX_ENVIRONMENT}"
        )
    return job_name(slug if environment == PRODUCTION else f"{slug}:{environment}")


def _items(body: bytes, at: int) -> Iterator[tuple[str, bytes]]:
    """Yield type and content of each item of *body*, from *at* on.

    No byte is copied but for the item that it is in.
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
    """Return the line of *body* that begins at *at*, and where the next one does."""
    end = body.find(b"\n", at)
    return (body[at:], len(body)) if end < 0 else (body[at:end], end + 1)


def _object(text: bytes) -> dict[str, Any]:
    """Return the JSON object that *text* is; an empty one if it is none."""
    try:
        return _OBJECT.decode(text)
    except (ValueError, RecursionError):
        return {}


def _run_id(value: object) -> str | None:
    """Return a check-in's id in one spelling of many; None for none."""
    try:
        known = UUID(str(value))
    except ValueError:
        return None
    return known.hex if known.int else None


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
    told, now = check_in.told, context.clock.now()
    mark = digest(sender(request), check_in.words)
    try:
        ping = await parsed(len(check_in.words), lambda: ping_of(told, now, mark))
    except PingError as error:
        return recorder.unreadable(_whose(told), now, mark, error)
    config = told.get("monitor_config")
    if config is None:
        return ping
    caller, described = caller_of(request), words_of(config)
    warnings = await describe(context, recorder, ping.job, *described, caller)
    return replace(ping, warnings=warnings)


def _whose(told: Mapping[str, Any]) -> str:
    try:
        return job_of(told)
    except PingError:
        return ""


async def _take(
    recorder: ReportRecorder, received: list[Received], caller: Caller
) -> None:
    """Record check-ins; raise what is wrong with all of them."""
    results = await recorder.take_all(received, caller)
    refused = [result for result in results if isinstance(result, Exception)]
    if len(refused) == len(results):
        raise refused[0]


def refused(status: int, text: str) -> web.Response:
    """Return what whoever may not check in is told."""
    return compact({"detail": text}, status)


def _told(recorder: ReportRecorder, handler: Handler) -> Handler:
    """Return *handler*, with Sentry's own words for what is refused."""

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
