"""Middleware that restores the original client of requests from trusted proxies."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter.auth.proxies import Proxies

FOR: Final = "X-Forwarded-For"
PROTO: Final = "X-Forwarded-Proto"
HOST: Final = "X-Forwarded-Host"


def behind(proxies: Proxies) -> Middleware:
    """Return the middleware that applies the X-Forwarded headers of *proxies*."""

    @web.middleware
    async def proxied(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote
        if peer is None or not proxies.trusts(peer):
            return await handler(request)
        headers = request.headers
        forwarded = proxies.forwarded(
            peer,
            headers.getall(FOR, []),
            headers.getall(PROTO, []),
            headers.getall(HOST, []),
        )
        changed: dict[str, Any] = {"remote": forwarded.client}
        if forwarded.scheme is not None:
            changed["scheme"] = forwarded.scheme
        if forwarded.host is not None:
            changed["host"] = forwarded.host
        inside = request.clone(**changed)
        try:
            return await handler(inside)
        finally:
            # The response is prepared for the original request.
            for key in inside:
                request[key] = inside[key]

    return proxied
