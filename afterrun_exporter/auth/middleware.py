"""Who may go where: every request passes here, before anything is read of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter.auth import scopes
from afterrun_exporter.auth.authenticator import Authenticator
from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.credentials import (
    API_KEY,
    Credentials,
    authorization,
    sentry,
)
from afterrun_exporter.auth.cross_site import is_foreign
from afterrun_exporter.auth.hosts import Hosts, is_loopback
from afterrun_exporter.auth.proxies import Proxies
from afterrun_exporter.auth.refusal_log import RefusalLog
from afterrun_exporter.auth.requests import BY_KEY, CALLER, SCOPE
from afterrun_exporter.clock import Clock
from afterrun_exporter.errors import (
    AfterRunError,
    ForbiddenError,
    UnauthorizedError,
)

#: Who asks for what is open to everybody.
NOBODY: Final = Caller("nobody", frozenset())

#: Where nothing is; the path itself may have a secret in it.
NO_ROUTE: Final = "(none)"

NO_CREDENTIALS: Final = (
    "who is asking? send a token as Authorization: Bearer TOKEN, or a user and password"
)
WRONG_CREDENTIALS: Final = "nobody is known by this token, or this user and password"
FOREIGN: Final = "a browser has sent this for another site"
MISLED: Final = (
    "{host!r} is no known name of this daemon, which has no locks: ask for it as "
    "localhost, start it with --web.external-url=http://NAME, or set auth in "
    "afterrun.yml"
)


#: Makes the response to a refused request of a route, None for the usual one.
RefusalResponse = Callable[[str, Exception], web.Response | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """What decides which requests are allowed."""

    authenticator: Authenticator
    proxies: Proxies
    hosts: Hosts


def auth_middleware(
    access: AccessSettings, clock: Clock, telemetry_path: str, refused: RefusalResponse
) -> Middleware:
    """Return the middleware that refuses requests without sufficient permission.

    *refused* answers clients of other systems in the form that they understand.
    """
    refusals = RefusalLog("request_refused")

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = _route(request, telemetry_path)
        try:
            await _admit(access, request, route)
        except AfterRunError as error:
            sender = request.remote or ""
            refusals.tell(
                clock.elapsed(),
                of=sender,
                method=request.method,
                route=route or NO_ROUTE,
                sender=sender,
                reason=str(error),
            )
            if response := refused(route, error):
                return response
            raise
        return await handler(request)

    return guarded


async def _admit(access: AccessSettings, request: web.Request, route: str) -> None:
    """Note who has sent *request*; raise what it is refused with."""
    authenticator = access.authenticator
    # Of what is not there everybody is told that it is not, who is known at all.
    missing = request.match_info.http_exception is not None
    scope = scopes.wanted(request.method, route)
    request[BY_KEY] = False
    if scope is not scopes.OPEN:
        request[SCOPE] = scope
    if scope is scopes.OPEN and not missing:
        request[CALLER] = NOBODY
        return
    shown = authorization(request.headers.get(hdrs.AUTHORIZATION, ""))
    caller, by_password = await authenticator.caller(shown), shown.user is not None
    if caller is None:
        keys = _keys(request, route)
        caller, by_password = await authenticator.caller(keys), False
        request[BY_KEY] = caller is not None
        if caller is None:
            nothing = not shown and not keys
            raise UnauthorizedError(NO_CREDENTIALS if nothing else WRONG_CREDENTIALS)
    request[CALLER] = caller
    if missing or scope is scopes.OPEN:
        return
    if not caller.may(scope):
        raise ForbiddenError(f"{caller.name} may not do this: it wants scope {scope}")
    if authenticator.is_open and scope is not Scope.PING:
        _refuse_the_misled(access, request)
    # Pages elsewhere may ping, with a token; a password the browser sends by itself.
    harmless = scope is Scope.PING and not by_password
    if harmless or not scopes.changes(request.method, route):
        return
    if is_foreign(request.headers, request.host, request.method):
        raise ForbiddenError(FOREIGN)


def _refuse_the_misled(access: AccessSettings, request: web.Request) -> None:
    """Raise ForbiddenError if another site's name has led a browser here.

    That comes over loopback; from elsewhere such a name is one of the network's own.
    """
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    address = str(peer[0]) if isinstance(peer, tuple) else ""
    host = request.headers.get(hdrs.HOST, "")
    if not host or not is_loopback(address) or access.proxies.trusts(address):
        return
    if not access.hosts.has(host):
        raise ForbiddenError(MISLED.format(host=host))


def _route(request: web.Request, telemetry_path: str) -> str:
    """Return the route of *request* as the table has it; "" where there is none."""
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    return scopes.TELEMETRY if path == telemetry_path else path


def _keys(request: web.Request, route: str) -> Credentials:
    """Return what other systems' clients send in place of an Authorization."""
    found = [request.headers.get(API_KEY, ""), request.match_info.get("key", "")]
    if route.startswith(("/api/{project}/", "/api/store")):
        found.append(sentry(request.headers, request.query))
    return Credentials(tuple(filter(None, found)))
