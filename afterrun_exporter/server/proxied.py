"""Requests that come through a proxy that is believed: as its client sent them."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter.auth.proxies import Proxies

FOR: Final = "X-Forwarded-For"
PROTO: Final = "X-Forwarded-Proto"
HOST: Final = "X-Forwarded-Host"


def behind(proxies: Proxies) -> Middleware:
    """Return what makes the request out of one that one of *proxies* passed on."""

    @web.middleware
    async def proxied(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote
        if peer is None or not proxies.trusts(peer):
            return await handler(request)
        headers = request.headers
        told = proxies.forwarded(
            peer,
            headers.getall(FOR, []),
            headers.getall(PROTO, []),
            headers.getall(HOST, []),
        )
        changed: dict[str, Any] = {"remote": told.client}
        if told.scheme is not None:
            changed["scheme"] = told.scheme
        if told.host is not None:
            changed["host"] = told.host
        inside = request.clone(**changed)
        try:
            return await handler(inside)
        finally:
            # The answer is made ready for the one that came.
            for key in inside:
                request[key] = inside[key]

    return proxied
