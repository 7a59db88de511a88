"""Middleware that authenticates and authorizes every request before it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter.auth import endpoints, forbidden
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
from afterrun_exporter.auth.request_caller import BY_KEY, CALLER, ROUTE, SCOPE
from afterrun_exporter.clock import Clock
from afterrun_exporter.errors import AfterRunError, ForbiddenError, UnauthorizedError

#: The caller of requests to open routes.
NOBODY: Final = Caller("nobody", frozenset())

#: Logged in place of an unknown path, which may contain a secret.
NO_ROUTE: Final = "(none)"

NO_CREDENTIALS: Final = (
    "authentication required: send Authorization: Bearer TOKEN, or a user and password"
)
WRONG_CREDENTIALS: Final = "invalid token, or invalid user and password"


#: Returns the response to a refused request of a route; None for the default one.
RefusalResponse = Callable[[str, Exception], web.Response | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """The settings by which requests are allowed or refused."""

    authenticator: Authenticator
    proxies: Proxies
    hosts: Hosts


def auth_middleware(
    access: AccessSettings, clock: Clock, telemetry_path: str, refused: RefusalResponse
) -> Middleware:
    """Return the middleware that refuses requests without sufficient permission.

    *refused* returns error responses in the format of other systems.
    """
    refusals = RefusalLog("request_refused")

    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[ROUTE] = route = _route(request, telemetry_path)
        try:
            await _authorize(access, request, route)
        except AfterRunError as error:
            sender = request.remote or ""
            refusals.log_refusal(
                clock.elapsed(),
                source=sender,
                method=request.method,
                route=route or NO_ROUTE,
                sender=sender,
                reason=str(error),
            )
            if response := refused(route, error):
                return response
            raise
        return await handler(request)

    return authorize


async def _authorize(access: AccessSettings, request: web.Request, route: str) -> None:
    """Store the caller of *request*; raise an error if the request is refused."""
    authenticator = access.authenticator
    # Unknown paths are answered 404 to any authenticated caller.
    missing = request.match_info.http_exception is not None
    scope = endpoints.required_scope(request.method, route)
    request[BY_KEY] = False
    if scope is not endpoints.OPEN:
        request[SCOPE] = scope
    if scope is endpoints.OPEN and not missing:
        request[CALLER] = NOBODY
        return
    credentials = authorization(request.headers.get(hdrs.AUTHORIZATION, ""))
    caller = await authenticator.caller(credentials)
    by_password = credentials.user is not None
    if caller is None:
        keys = _keys(request, route)
        caller, by_password = await authenticator.caller(keys), False
        request[BY_KEY] = caller is not None
        if caller is None:
            nothing = not credentials and not keys
            raise UnauthorizedError(NO_CREDENTIALS if nothing else WRONG_CREDENTIALS)
    request[CALLER] = caller
    if missing or scope is endpoints.OPEN:
        return
    if not caller.may(scope):
        raise forbidden.lacks_scope(caller, scope)
    if authenticator.is_open and scope is not Scope.PING:
        _check_host(access, request)
    # Pages of other sites may ping with a token, but browsers add passwords on their own.
    harmless = scope is Scope.PING and not by_password
    if harmless or not endpoints.changes(request.method, route):
        return
    if is_foreign(request.headers, request.host, request.method):
        raise ForbiddenError(forbidden.CROSS_SITE)


def _check_host(access: AccessSettings, request: web.Request) -> None:
    """Raise ForbiddenError for an unknown host name in a request over loopback.

    In a request from another machine, it is a name of the local network.
    """
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    address = str(peer[0]) if isinstance(peer, tuple) else ""
    host = request.headers.get(hdrs.HOST, "")
    if not host or not is_loopback(address) or access.proxies.trusts(address):
        return
    if not access.hosts.has(host):
        raise ForbiddenError(forbidden.UNKNOWN_HOST.format(host=host))


def _route(request: web.Request, telemetry_path: str) -> str:
    """Return the route of *request* as in the table of endpoints; "" if there is none."""
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    return endpoints.TELEMETRY if path == telemetry_path else path


def _keys(request: web.Request, route: str) -> Credentials:
    """Return the keys that other systems' clients send instead of Authorization."""
    keys = [request.headers.get(API_KEY, ""), request.match_info.get("key", "")]
    if route.startswith(("/api/{project}/", "/api/store")):
        keys.append(sentry(request.headers, request.query))
    return Credentials(tuple(filter(None, keys)))
