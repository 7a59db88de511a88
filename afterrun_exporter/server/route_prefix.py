"""Requests under a prefix: to handlers, they look like requests without one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter import http_problems
from afterrun_exporter.auth.redaction import without_key
from afterrun_exporter.auth.route_prefix import PREFIX, RoutePrefix

#: The prefix of an application.
ROUTE_PREFIX: Final[web.AppKey[RoutePrefix]] = web.AppKey("route_prefix")
#: The address that a request is redirected to.
_REDIRECT: Final[web.RequestKey[str]] = web.RequestKey("redirect", str)
#: True for a request without a required prefix.
_IS_OUTSIDE: Final[web.RequestKey[bool]] = web.RequestKey("is_outside", bool)


def serve_under(server: web.Server, prefix: RoutePrefix) -> None:
    """Remove *prefix* from the paths of requests to *server*.

    Before they are routed, so that no other part needs to know of it.
    """
    if not prefix.path:
        return
    make_request = server.request_factory

    def without_prefix(message: RawRequestMessage, *arguments: Any) -> web.BaseRequest:
        url = message.url
        split = prefix.split(url.raw_path)
        if split is None:
            request = make_request(message, *arguments)
            request[_IS_OUTSIDE] = True
            if url.raw_path in {"", "/"}:
                request[_REDIRECT] = _home(prefix, url.raw_query_string)
            return request
        used, path = split
        if used:
            new = url.build(
                scheme=url.scheme if url.absolute else "",
                authority=url.raw_authority if url.absolute else "",
                path=path or "/",
                query_string=url.raw_query_string,
                encoded=True,
            )
            message = message._replace(url=new, path=str(new))
        request = make_request(message, *arguments)
        request[PREFIX] = used
        if used and not path:
            request[_REDIRECT] = _home(prefix, url.raw_query_string)
        return request

    server.request_factory = without_prefix


def within(prefix: RoutePrefix) -> Middleware:
    """Return the middleware that refuses requests without a required *prefix*."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        location = request.get(_REDIRECT)
        if location is not None and request.method in {hdrs.METH_GET, hdrs.METH_HEAD}:
            headers = {hdrs.LOCATION: location}
            return web.Response(status=HTTPStatus.FOUND, headers=headers)
        if not request.get(_IS_OUTSIDE, False):
            return await handler(request)
        path = without_key(request.path)
        detail = f"no such path {path!r}: the paths of this daemon begin with "
        detail += f"{prefix.path}/ (--web.route-prefix)"
        return http_problems.response(
            http_problems.problem(HTTPStatus.NOT_FOUND, detail)
        )

    return middleware


def _home(prefix: RoutePrefix, query: str) -> str:
    return f"{prefix.path}/{f'?{query}' if query else ''}"
