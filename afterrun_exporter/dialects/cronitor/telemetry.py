"""Cronitor's telemetry API, as its clients and borgmatic speak it.

``/p/KEY/JOB[/STATE]`` and ``/ping/KEY/JOB`` with parameters in the query, as on
https://cronitor.io/docs/telemetry-api. The key is whose job it is; any is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from msgspec import json

from afterrun_exporter.auth.requests import caller_of
from afterrun_exporter.core.model import FAILURES, Kind, Outcome, Ping
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.dialects.context import DialectContext, read_text, recorded
from afterrun_exporter.dialects.report_fields import Fields, fields_of, judged
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import fields
from afterrun_exporter.ingest.bodies import parsed
from afterrun_exporter.ingest.native import counted
from afterrun_exporter.ingest.readings import Readings, read_metrics
from afterrun_exporter.ingest.recorder import Read, Unread, sender
from afterrun_exporter.ingest.reports import clean, message_text

DIALECT: Final = "cronitor"

STATES: Final[Mapping[str, tuple[Kind, Outcome]]] = {
    "run": (Kind.START, Outcome.OK),
    "complete": (Kind.FINISH, Outcome.OK),
    "ok": (Kind.FINISH, Outcome.OK),
    "tick": (Kind.FINISH, Outcome.OK),
    "fail": (Kind.FINISH, Outcome.FAIL),
    # A heartbeat says nothing but that the job ran.
    "": (Kind.FINISH, Outcome.OK),
}

#: Parameters that tell this dialect from that of Healthchecks, on the same paths.
OURS: Final = frozenset({"state", "series", "metric", "stamp"})

#: All parameters with a meaning of their own.
PARAMETERS: Final = OURS | {
    *("duration", "message", "msg", "status_code", "env", "host", "try")
}

#: What of a request is kept beside the run.
_METADATA: Final = ("env", "host")
#: A retry differs in it from the ping that it repeats.
_TRY: Final = "try"


def speaks_cronitor(query: Iterable[str]) -> bool:
    """Return whether a request with these parameters is one of Cronitor's clients."""
    return not OURS.isdisjoint(query)


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of ``/p/``."""
    handle = by_key(context)
    paths = ("/p/{key}/{job}{slash:/?}", "/p/{key}/{job}/{state}{slash:/?}")
    # aiohttp lets HEAD in where GET is.
    gets = [web.get(path, handle) for path in paths]
    return [*gets, *(web.post(path, handle) for path in paths)]


def by_key(context: DialectContext) -> Handler:
    """Return the handler of the requests that name a key and a job."""
    recorder = context.recorder(DIALECT)

    async def handle(request: web.Request) -> web.Response:
        text, _ = await read_text(request, context.body_limit)
        kind = request.headers.get(hdrs.CONTENT_TYPE, "")
        given, state = [*request.query.items()], request.match_info.get("state")
        job, now = context.job_called(request.match_info["job"]), context.clock.now()
        whose, limit = sender(request), recorder.metrics_limit

        def parse() -> Read:
            fields = fields_of(given, text, kind)
            return _read(job, fields, state, text, whose, now, limit)

        read = await parsed(len(text), parse)
        await recorded(recorder, recorder.settled(read, now), caller_of(request))
        return web.Response(text="OK")

    return counted(recorder, handle)


def _read(
    job: str,
    fields: Fields,
    state: str | None,
    text: str,
    whose: bytes,
    at: float,
    limit: int,
) -> Read:
    query = [
        *((name, str(value)) for name, value in fields.replaced),
        *((name, str(value)) for name, value in fields.items()),
    ]
    if state:
        query.append(("state", state))
    mark = digest(whose, *_identity(query), text.encode())
    try:
        ping, readings = ping_of(job, query, at, mark, limit)
        if ping.exit_code:
            fields["exit_code"] = ping.exit_code
        return judged(ping, fields, PARAMETERS), readings
    except PingError as error:
        return Unread(job, mark, error)


def ping_of(
    job: str,
    query: Sequence[tuple[str, str]],
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
) -> tuple[Ping, Readings]:
    """Return the ping that the parameters of a request stand for.

    Of a parameter that is there twice the last one counts, of states the worst. Raises PingError for a
    state that there is not; what else cannot be used is left out.
    """
    told = dict(query)
    states = [_state(value) for name, value in query if name == "state"]
    failed = [one for one in states if one[1] in FAILURES]
    kind, outcome = (failed or states or [_state("")])[-1]
    reported = dict(_measured(value for name, value in query if name == "metric"))
    duration = _seconds(told.get("duration", ""), reported.pop("duration", None))
    readings = read_metrics(reported, metrics_limit)
    stamp = _instant(told.get("stamp", ""))
    message, warnings = message_text(told.get("message") or told.get("msg") or "")
    metadata = {name: clean(told[name]) for name in _METADATA if told.get(name)}
    ping = Ping(
        job=job,
        kind=kind,
        at=at,
        outcome=outcome,
        run_id=clean(told.get("series", ""))[: fields.MAX_RUN_ID] or None,
        started_at=stamp if kind is Kind.START else None,
        ended_at=stamp if kind is Kind.FINISH else None,
        duration=duration,
        metrics={} if kind is Kind.START else readings.values,
        message=message,
        exit_code=_status(told.get("status_code", "")),
        metadata=json.encode(metadata).decode() if metadata else "",
        fingerprint=fingerprint,
        warnings=(*warnings, *readings.warnings),
    )
    return ping, readings


def _identity(query: Iterable[tuple[str, str]]) -> list[bytes]:
    """Return what a retry has in common with the ping that it repeats."""
    return [
        f"{name}={value}".encode("utf-8", "surrogatepass")
        for name, value in query
        if name != _TRY
    ]


def _state(text: str) -> tuple[Kind, Outcome]:
    try:
        return STATES[text.strip().lower()]
    except KeyError:
        known = ", ".join(filter(None, STATES))
        raise PingError(f"unknown state {text[:40]!r}: use one of {known}") from None


def _measured(values: Iterable[str]) -> Iterable[tuple[str, float]]:
    """Yield the name and value of each ``name:value``, or ``name=value``."""
    for value in values:
        name, colon, number = value.rpartition(":")
        if not colon:
            name, _, number = value.rpartition("=")
        if name and (found := _number(number)) is not None:
            yield clean(name), found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds(text: str, measured: float | None) -> float | None:
    given = _number(text)
    for seconds in (measured, given):
        if seconds is not None and 0 <= seconds < fields.MAX_TIME:
            return seconds
    return None


def _instant(text: str) -> float | None:
    seconds = _number(text)
    known = seconds is not None and math.isfinite(seconds)
    return seconds if known and 0 < (seconds or 0) < fields.MAX_TIME else None


def _status(text: str) -> int | None:
    number = _number(text)
    whole = number is not None and number.is_integer() and abs(number) < fields.MAX_INT
    return int(number or 0) if whole else None
