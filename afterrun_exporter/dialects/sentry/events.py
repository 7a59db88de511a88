"""Errors, crashes and traces on a Sentry DSN: accepted and ignored.

Clients send them to the same DSN as their check-ins, and print an error for each one
that is refused. Unknown paths stay unknown: a check-in with a wrong address must not
be lost silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import json

from afterrun_exporter.dialects.context import DialectContext, read_text
from afterrun_exporter.ingest.responses import compact

_PROJECT: Final = "/api/{project:[0-9]+}"
_EVENT: Final = json.Decoder(dict[str, Any])

#: Returns the peer's answer to a request with this text.
Answer = Callable[[str], web.Response]


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of everything but check-ins that clients send to a DSN."""
    answers: dict[str, Answer] = {
        "/api/store": _stored,
        f"{_PROJECT}/store": _stored,
        f"{_PROJECT}/minidump": _crashed,
        f"{_PROJECT}/unreal/{{key}}": _crashed,
        f"{_PROJECT}/playstation": _crashed,
        f"{_PROJECT}/security": _empty,
        f"{_PROJECT}/csp-report": _empty,
        f"{_PROJECT}/nel": _empty,
        f"{_PROJECT}/events/{{event}}/attachments": _attached,
        f"{_PROJECT}/integration/otlp/v1/{{kind:traces|logs}}": _exported,
    }
    return [
        web.post(f"{path}{{slash:/?}}", _ignoring(context, answer))
        for path, answer in answers.items()
    ]


def event_id(value: object) -> str:
    """Return an event's id as Sentry answers with it; "" for none."""
    if not isinstance(value, str):
        return ""
    try:
        return UUID(value).hex
    except ValueError:
        return value


def _ignoring(context: DialectContext, answer: Answer) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        text, _ = await read_text(request, context.body_limit)
        return answer(text)

    return handle


def _stored(text: str) -> web.Response:
    try:
        event = _EVENT.decode(text)
    except (ValueError, RecursionError):
        # Cut off, or compressed in a way of its own.
        event = {}
    return compact({"id": event_id(event.get("event_id")) or uuid4().hex})


def _crashed(_: str) -> web.Response:
    return web.Response(text=str(uuid4()))


def _empty(_: str) -> web.Response:
    return web.Response()


def _attached(_: str) -> web.Response:
    return web.Response(status=201)


def _exported(_: str) -> web.Response:
    return compact({})
