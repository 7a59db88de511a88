"""Errors, crashes and traces on a Sentry DSN: accepted and ignored.

Clients send them to the same DSN as their check-ins, and print an error for each
refused one. Unknown paths are still answered 404: a check-in with a wrong address must
not be lost silently.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from aiohttp import web
from msgspec import json

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.endpoints import Endpoint
from afterrun_exporter.dialects.context import DialectContext, read_text
from afterrun_exporter.ingest.responses import compact

_EVENT: Final = json.Decoder(dict[str, Any])

#: Returns Sentry's response to a request with this body.
Responder = Callable[[str], web.Response]


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of everything that clients send to a DSN except check-ins."""
    answers: dict[Endpoint, Responder] = {
        endpoints.SENTRY_EVENT: _store,
        endpoints.SENTRY_CRASH: lambda _: web.Response(text=str(uuid4())),
        endpoints.SENTRY_BROWSER_REPORT: lambda _: web.Response(),
        endpoints.SENTRY_ATTACHMENT: lambda _: web.Response(status=201),
        endpoints.SENTRY_OTLP: lambda _: compact({}),
    }
    return [
        route
        for endpoint, respond in answers.items()
        for route in endpoint.to(partial(_ignore, context, respond))
    ]


def event_id(value: object) -> str:
    """Return an event's id as in Sentry's responses; "" if there is none."""
    if not isinstance(value, str):
        return ""
    try:
        return UUID(value).hex
    except ValueError:
        return value


async def _ignore(
    context: DialectContext, respond: Responder, request: web.Request
) -> web.Response:
    text, _ = await read_text(request, context.body_limit)
    return respond(text)


def _store(text: str) -> web.Response:
    try:
        event = _EVENT.decode(text)
    except (ValueError, RecursionError):
        # Truncated, or in an unknown compression.
        event = {}
    return compact({"id": event_id(event.get("event_id")) or uuid4().hex})
