"""Push URLs with a token: Uptime Kuma, Dead Man's Snitch, Better Stack.

The token names the job. A client of these systems needs only a URL; each system has
its own parameters for the outcome, and its own response.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import Kind, Outcome, Ping
from afterrun_exporter.dialects.context import DialectContext, read_text, record_one
from afterrun_exporter.dialects.report_fields import fields_of, with_claimed_outcome
from afterrun_exporter.errors import ForbiddenError, PingError, UnknownJobError
from afterrun_exporter.ingest.bodies import parsed
from afterrun_exporter.ingest.fields import MAX_TIME, number
from afterrun_exporter.ingest.json_text import Object
from afterrun_exporter.ingest.native import counting_refusals
from afterrun_exporter.ingest.recorder import sender
from afterrun_exporter.ingest.reports import message_text
from afterrun_exporter.ingest.responses import compact

KUMA: Final = "uptime_kuma"
SNITCH: Final = "dead_mans_snitch"
BETTER_STACK: Final = "better_stack"

#: Parameters with a meaning in each dialect.
OWN: Final[Mapping[str, frozenset[str]]] = {
    KUMA: frozenset({"msg", "ping"}),
    SNITCH: frozenset({"s", "m"}),
    BETTER_STACK: frozenset(),
}

#: Uptime Kuma's response to every error.
NOT_FOUND: Final = {"ok": False, "msg": "Monitor not found or not active."}

_STATUS: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The outcome that one request reports."""

    kind: Kind = Kind.FINISH
    outcome: Outcome = Outcome.OK
    message: str = ""
    duration: float | None = None
    exit_code: int | None = None


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the three dialects."""

    def counting(
        dialect: str, record: Callable[..., Awaitable[web.Response]]
    ) -> Handler:
        heartbeats = _Heartbeats(context, dialect)
        return counting_refusals(heartbeats.recorder, partial(record, heartbeats))

    return [
        *endpoints.KUMA.to(partial(record_kuma, _Heartbeats(context, KUMA))),
        *endpoints.SNITCH.to(counting(SNITCH, record_snitch)),
        *endpoints.BETTER_STACK.to(counting(BETTER_STACK, record_better_stack)),
    ]


async def record_kuma(heartbeats: _Heartbeats, request: web.Request) -> web.Response:
    """Record ``/api/push/TOKEN?status=up&msg=OK&ping=``."""
    try:
        fields, body = await heartbeats.read(request)
        heartbeat = kuma(fields_of(request.query.items()))
        await heartbeats.record(request, heartbeat, fields, body)
    except (PingError, UnknownJobError) as error:
        if isinstance(error, PingError):
            heartbeats.recorder.refuse(request.match_info["job"], str(error))
        # Uptime Kuma has this one error response.
        return _kuma_response(404, NOT_FOUND)
    except ForbiddenError as error:
        return kuma_refused(403, str(error))
    return _kuma_response(200, {"ok": True})


def kuma_refused(status: int, text: str) -> web.Response:
    """Return an error response in Uptime Kuma's format."""
    return _kuma_response(status, {"ok": False, "msg": text})


def _kuma_response(status: int, value: Mapping[str, object]) -> web.Response:
    # Clients compare the text of the body.
    response = compact(value, status)
    response.charset = "utf-8"
    return response


async def record_snitch(heartbeats: _Heartbeats, request: web.Request) -> web.Response:
    """Record ``/snitch/TOKEN``, with ``m`` and ``s`` in query or form."""
    fields, body = await heartbeats.read(request)
    await heartbeats.record(request, snitch(fields), fields, body)
    return web.Response(status=202, text="Got it, thanks!")


async def record_better_stack(
    heartbeats: _Heartbeats, request: web.Request
) -> web.Response:
    """Record ``/api/v1/heartbeat/TOKEN[/fail|/STATUS]``."""
    fields, body = await heartbeats.read(request, is_output=True)
    heartbeat = better_stack(request.match_info.get("how", ""), body)
    await heartbeats.record(request, heartbeat, fields, body)
    return web.Response(text="OK")


def kuma(query: Mapping[str, Any]) -> Heartbeat:
    """Return the heartbeat in the parameters of a push.

    ``msg=start`` is a start: borgmatic sends it with status up before its work.
    """
    up = all(status == "up" for status in values(query, "status"))
    message = str(query.get("msg") or "")
    ping = number(str(query.get("ping") or ""))
    return Heartbeat(
        kind=Kind.START if up and message == "start" else Kind.FINISH,
        outcome=Outcome.OK if up else Outcome.FAIL,
        message="" if message == "OK" else message,
        # In milliseconds.
        duration=ping / 1000 if ping is not None and 0 <= ping < MAX_TIME else None,
    )


def snitch(fields: Mapping[str, Any]) -> Heartbeat:
    """Return the heartbeat of a check-in: ``s`` is an exit status, or a word for it."""
    statuses = [one for one in values(fields, "s") if one]
    bad = [one for one in statuses if one not in {"0", "healthy", "success"}]
    status = (bad or statuses or [""])[-1]
    return Heartbeat(
        outcome=Outcome.FAIL if bad else Outcome.OK,
        message=str(fields.get("m") or ""),
        exit_code=int(status) if _STATUS.fullmatch(status) else None,
    )


def better_stack(how: str, output: str) -> Heartbeat:
    """Return the heartbeat for *how*, the path after the token; "" if there is none."""
    status = int(how) if _STATUS.fullmatch(how) else None
    failed = how == "fail" or bool(status)
    return Heartbeat(
        outcome=Outcome.FAIL if failed else Outcome.OK,
        message=output,
        exit_code=status,
    )


def values(fields: Mapping[str, Any], name: str) -> list[str]:
    """Return all values of the field *name* as strings."""
    all_values = fields.all(name) if isinstance(fields, Object) else [fields.get(name)]
    return [
        f"{value:d}" if isinstance(value, int) else str(value)
        for value in all_values
        if value is not None
    ]


class _Heartbeats:
    """Reads and records the heartbeats of one dialect."""

    def __init__(self, context: DialectContext, dialect: str) -> None:
        self.recorder = context.recorder(dialect)
        self._context = context
        self._own = OWN[dialect]

    async def read(
        self, request: web.Request, *, is_output: bool = False
    ) -> tuple[Object, str]:
        """Return the fields in the query and the body of *request*, and the body."""
        body, _ = await read_text(request, self._context.body_limit)
        kind = request.headers.get(hdrs.CONTENT_TYPE, "")
        query = [*request.query.items()]
        fields = await parsed(
            len(body), lambda: fields_of(query, body, kind, is_output=is_output)
        )
        return fields, body

    async def record(
        self, request: web.Request, heartbeat: Heartbeat, fields: Object, body: str
    ) -> None:
        """Record *heartbeat*; raise the error if it is refused."""
        identity = (sender(request), request.raw_path.encode(), body.encode())
        message, warnings = message_text(heartbeat.message)
        ping = Ping(
            job=self._context.job_called(request.match_info["job"]),
            kind=heartbeat.kind,
            at=self._context.clock.now(),
            outcome=heartbeat.outcome,
            duration=None if heartbeat.kind is Kind.START else heartbeat.duration,
            message=message,
            exit_code=heartbeat.exit_code,
            fingerprint=digest(*identity),
            warnings=tuple(warnings),
        )
        received = await parsed(
            len(body),
            lambda: with_claimed_outcome(ping, fields, self._own, strict=False),
        )
        await record_one(self.recorder, received, caller_of(request))
