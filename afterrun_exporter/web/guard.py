"""Who may go where: every request passes here, before anything is read of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter.access import routes
from afterrun_exporter.access.callers import Caller, Scope
from afterrun_exporter.access.credentials import (
    API_KEY,
    Credentials,
    authorization,
    sentry,
)
from afterrun_exporter.access.crosssite import is_foreign
from afterrun_exporter.access.proxies import Proxies
from afterrun_exporter.clock import Clock
from afterrun_exporter.errors import (
    AfterRunError,
    ForbiddenError,
    UnauthorizedError,
)
from afterrun_exporter.ingest import dialects
from afterrun_exporter.ingest.desk import BY_KEY, CALLER
from afterrun_exporter.ingest.refusals import Refusals
from afterrun_exporter.web.gate import Gate
from afterrun_exporter.web.headers import SCOPE, Headers
from afterrun_exporter.web.tls import Certificates

#: Who asks for what is open to everybody.
NOBODY: Final = Caller("nobody", frozenset())

SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})

NO_CREDENTIALS: Final = (
    "who is asking? send a token as Authorization: Bearer TOKEN, or a user and password"
)
WRONG_CREDENTIALS: Final = "nobody is known by this token, or this user and password"
FOREIGN: Final = "a browser has sent this for another site"


@dataclass(frozen=True, slots=True)
class Doors:
    """What requests pass on their way in, and answers on their way out."""

    gate: Gate = field(default_factory=Gate)
    headers: Headers = field(default_factory=Headers)
    proxies: Proxies = field(default_factory=Proxies)
    certificates: Certificates = field(default_factory=Certificates)


def guard(gate: Gate, clock: Clock, telemetry_path: str) -> Middleware:
    """Return what lets a request pass if whoever sent it may do what it asks for."""
    refusals = Refusals("request_refused")

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = _route(request, telemetry_path)
        try:
            await _admit(gate, request, route)
        except AfterRunError as error:
            refusals.tell(
                clock.now(),
                method=request.method,
                route=route,
                sender=request.remote or "",
                reason=str(error),
            )
            if refusal := dialects.refusal(route, error):
                return refusal
            raise
        return await handler(request)

    return guarded


async def _admit(gate: Gate, request: web.Request, route: str) -> None:
    """Note who has sent *request*; raise what it is refused with."""
    # Of what is not there everybody is told that it is not, who is known at all.
    missing = request.match_info.http_exception is not None
    scope = routes.wanted(request.method, route)
    request[BY_KEY] = False
    if scope is not routes.OPEN:
        request[SCOPE] = scope
    if scope is routes.OPEN and not missing:
        request[CALLER] = NOBODY
        return
    shown = authorization(request.headers.get(hdrs.AUTHORIZATION, ""))
    caller, by_password = await gate.caller(shown), shown.user is not None
    if caller is None:
        keys = _keys(request, route)
        caller, by_password = await gate.caller(keys), False
        request[BY_KEY] = caller is not None
        if caller is None:
            nothing = not shown and not keys
            raise UnauthorizedError(NO_CREDENTIALS if nothing else WRONG_CREDENTIALS)
    request[CALLER] = caller
    if missing or scope is routes.OPEN:
        return
    if not caller.may(scope):
        raise ForbiddenError(f"{caller.name} may not do this: it wants scope {scope}")
    # A browser sends a password to us whoever made it send something.
    if scope is Scope.PING:
        changes = by_password
    else:
        # Some clients change things with a GET.
        changes = scope is Scope.ADMIN or request.method not in SAFE
    if changes and is_foreign(request.headers, request.host):
        raise ForbiddenError(FOREIGN)


def _route(request: web.Request, telemetry_path: str) -> str:
    """Return the route of *request* as the table has it; "" where there is none."""
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    return routes.TELEMETRY if path == telemetry_path else path


def _keys(request: web.Request, route: str) -> Credentials:
    """Return what other systems' clients send in place of an Authorization."""
    found = [request.headers.get(API_KEY, ""), request.match_info.get("key", "")]
    if route.startswith("/api/{project}/"):
        found.append(sentry(request.headers, request.query))
    return Credentials(tuple(filter(None, found)))
