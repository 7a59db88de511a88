"""Cronitor's telemetry API, used by its clients and by borgmatic.

``/p/KEY/JOB[/STATE]`` and ``/ping/KEY/JOB`` with parameters in the query, as on
https://cronitor.io/docs/telemetry-api. The key names the account; any is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from msgspec import json

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import FAILURES, Kind, Outcome, Ping
from afterrun_exporter.dialects.context import DialectContext, read_text, record_one
from afterrun_exporter.dialects.report_fields import fields_of, with_claimed_outcome
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import fields
from afterrun_exporter.ingest.bodies import parsed
from afterrun_exporter.ingest.json_text import Object
from afterrun_exporter.ingest.native import counting_refusals
from afterrun_exporter.ingest.recorder import Read, Unread, sender
from afterrun_exporter.ingest.report_metrics import ReportMetrics, read_metrics
from afterrun_exporter.ingest.reports import clean, message_text

DIALECT: Final = "cronitor"

STATES: Final[Mapping[str, tuple[Kind, Outcome]]] = {
    "run": (Kind.START, Outcome.OK),
    "complete": (Kind.FINISH, Outcome.OK),
    "ok": (Kind.FINISH, Outcome.OK),
    "tick": (Kind.FINISH, Outcome.OK),
    "fail": (Kind.FINISH, Outcome.FAIL),
    # A heartbeat reports only that the job ran.
    "": (Kind.FINISH, Outcome.OK),
}

#: Parameters that distinguish this dialect from Healthchecks on shared paths.
DISTINCTIVE: Final = frozenset({"state", "series", "metric", "stamp"})

#: All parameters with a meaning in this dialect.
PARAMETERS: Final = DISTINCTIVE | {
    *("duration", "message", "msg", "status_code", "env", "host", "try")
}

#: Parameters that are stored as metadata of the run.
_METADATA: Final = ("env", "host")
#: The parameter in which a retry differs from the original ping.
_TRY: Final = "try"


def speaks_cronitor(query: Iterable[str]) -> bool:
    """Return True if a request with these parameters is from a Cronitor client."""
    return not DISTINCTIVE.isdisjoint(query)


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of ``/p/``."""
    return endpoints.CRONITOR.to(by_key(context))


def by_key(context: DialectContext) -> Handler:
    """Return the handler of requests with a key and a job in their path."""
    recorder = context.recorder(DIALECT)

    async def handle(request: web.Request) -> web.Response:
        text, _ = await read_text(request, context.body_limit)
        kind = request.headers.get(hdrs.CONTENT_TYPE, "")
        query, state = [*request.query.items()], request.match_info.get("state")
        job, now = context.job_called(request.match_info["job"]), context.clock.now()
        source, limit = sender(request), recorder.metrics_limit

        def parse() -> Read:
            fields = fields_of(query, text, kind)
            return _read(job, fields, state, text, source, now, limit)

        read = await parsed(len(text), parse)
        await record_one(recorder, recorder.resolve(read, now), caller_of(request))
        return web.Response(text="OK")

    return counting_refusals(recorder, handle)


def _read(
    job: str,
    fields: Object,
    state: str | None,
    text: str,
    source: bytes,
    at: float,
    limit: int,
) -> Read:
    query = [(name, str(value)) for name, value in (*fields.replaced, *fields.items())]
    if state:
        query.append(("state", state))
    mark = digest(source, *_identity(query), text.encode())
    try:
        ping, report_metrics = ping_of(job, query, at, mark, limit)
        if ping.exit_code:
            fields["exit_code"] = ping.exit_code
        return with_claimed_outcome(ping, fields, PARAMETERS), report_metrics
    except PingError as error:
        return Unread(job, mark, error)


def ping_of(
    job: str,
    query: Sequence[tuple[str, str]],
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
) -> tuple[Ping, ReportMetrics]:
    """Return the ping described by the parameters of a request.

    The last value of a repeated parameter counts, except for states: the worst one
    counts. Raises PingError for an unknown state; other invalid values are left out.
    """
    parameters = dict(query)
    states = [_state(value) for name, value in query if name == "state"]
    failed = [one for one in states if one[1] in FAILURES]
    kind, outcome = (failed or states or [_state("")])[-1]
    reported = dict(_measured(value for name, value in query if name == "metric"))
    duration = _seconds(parameters.get("duration", ""), reported.pop("duration", None))
    report_metrics = read_metrics(reported, metrics_limit)
    stamp = _instant(parameters.get("stamp", ""))
    message, warnings = message_text(
        parameters.get("message") or parameters.get("msg") or ""
    )
    metadata = {
        name: clean(parameters[name]) for name in _METADATA if parameters.get(name)
    }
    ping = Ping(
        job=job,
        kind=kind,
        at=at,
        outcome=outcome,
        run_id=clean(parameters.get("series", ""))[: fields.MAX_RUN_ID] or None,
        started_at=stamp if kind is Kind.START else None,
        ended_at=stamp if kind is Kind.FINISH else None,
        duration=duration,
        metrics={} if kind is Kind.START else report_metrics.values,
        message=message,
        exit_code=_status(parameters.get("status_code", "")),
        metadata=json.encode(metadata).decode() if metadata else "",
        fingerprint=fingerprint,
        warnings=(*warnings, *report_metrics.warnings),
    )
    return ping, report_metrics


def _identity(query: Iterable[tuple[str, str]]) -> list[bytes]:
    """Return the parameters that a retry shares with the original ping."""
    return [
        f"{name}={value}".encode("utf-8", "surrogatepass")
        for name, value in query
        if name != _TRY
    ]


def _state(text: str) -> tuple[Kind, Outcome]:
    try:
        return STATES[text.strip().lower()]
    except KeyError:
        names = ", ".join(filter(None, STATES))
        raise PingError(f"unknown state {text[:40]!r}: use one of {names}") from None


def _measured(values: Iterable[str]) -> Iterable[tuple[str, float]]:
    """Yield the name and value of each ``name:value``, or ``name=value``."""
    for value in values:
        name, colon, number = value.rpartition(":")
        if not colon:
            name, _, number = value.rpartition("=")
        if name and (measurement := _number(number)) is not None:
            yield clean(name), measurement


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds(text: str, measured: float | None) -> float | None:
    reported = _number(text)
    for seconds in (measured, reported):
        if seconds is not None and 0 <= seconds < fields.MAX_TIME:
            return seconds
    return None


def _instant(text: str) -> float | None:
    seconds = _number(text)
    is_finite = seconds is not None and math.isfinite(seconds)
    return seconds if is_finite and 0 < (seconds or 0) < fields.MAX_TIME else None


def _status(text: str) -> int | None:
    number = _number(text)
    whole = number is not None and number.is_integer() and abs(number) < fields.MAX_INT
    return int(number or 0) if whole else None
