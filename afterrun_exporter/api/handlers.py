"""Routes for operations: parse the request, call the handler, send the response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from typing import Final, Generic, NamedTuple
from urllib.parse import quote

from aiohttp import ETag, hdrs, web

from afterrun_exporter.api.operation import JSON, A, B, Operation, Q
from afterrun_exporter.api.request_parsing import read_body, read_query
from afterrun_exporter.auth.route_prefix import prefix_of

#: Caches must revalidate before each use.
NO_CACHE: Final = {hdrs.CACHE_CONTROL: "no-cache"}


@dataclass(frozen=True, slots=True)
class ApiRequest(Generic[Q, B]):
    """A parsed and validated request."""

    path: Mapping[str, str]
    query: Q
    body: B

    @property
    def job(self) -> str:
        """The name of the job in the path."""
        return self.path["job"]


class EncodedPage(NamedTuple):
    """A page of a list, as JSON."""

    body: bytes
    #: The value for the parameter that selects the next page; None on the last one.
    next: int | None


#: Implements an operation; for a long response, it returns the encoded JSON.
Act = Callable[[ApiRequest[Q, B]], Awaitable[A | EncodedPage | bytes]]


def json_route(operation: Operation[Q, B, A], act: Act[Q, B, A]) -> list[web.RouteDef]:
    """Return the routes of *operation*, implemented by *act*."""

    async def handle(request: web.Request) -> web.Response:
        answer = await act(await _parse(operation, request))
        if operation.status == HTTPStatus.NO_CONTENT:
            return web.Response(status=operation.status)
        response = web.Response(status=operation.status, content_type=JSON)
        if isinstance(answer, bytes):
            response.body = answer
            return fresh(request, response)
        if isinstance(answer, EncodedPage):
            response.body = answer.body
        else:
            response.body = answer.model_dump_json().encode()
            if operation.location:
                where = operation.location.format_map(dict(answer))
                response.headers[hdrs.LOCATION] = f"{prefix_of(request)}{where}"
        if operation.paged_by and (following := getattr(answer, "next", None)):
            response.headers[hdrs.LINK] = _link(request, operation.paged_by, following)
        return fresh(request, response)

    return operation.endpoint.to(handle)


async def _parse(
    operation: Operation[Q, B, A], request: web.Request
) -> ApiRequest[Q, B]:
    """Return the parsed *request*; raise RequestError if it is invalid."""
    query = read_query(operation.query, request.query)
    body = (
        await read_body(operation, request)
        if operation.takes_body
        else operation.body()
    )
    return ApiRequest(request.match_info, query, body)


def fresh(request: web.Request, response: web.Response) -> web.Response:
    """Return *response* with an ETag, or 304 if the client has this version already."""
    if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
        return response
    body = response.body if isinstance(response.body, bytes) else b""
    tag = blake2b(body, digest_size=12).hexdigest()
    response.headers.update(NO_CACHE)
    response.etag = tag
    cached_tags = request.if_none_match or ()
    if response.status == HTTPStatus.OK and any(
        one.value in {tag, "*"} for one in cached_tags
    ):
        unchanged = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=NO_CACHE)
        unchanged.etag = ETag(tag)
        if hdrs.LINK in response.headers:
            unchanged.headers[hdrs.LINK] = response.headers[hdrs.LINK]
        return unchanged
    return response


def _link(request: web.Request, parameter: str, following: object) -> str:
    """Return the Link header for the next page (RFC 8288)."""
    others = [(k, v) for k, v in request.query.items() if k != parameter]
    query = "&".join(
        f"{quote(name, safe='')}={quote(str(value), safe='')}"
        for name, value in (*others, (parameter, following))
    )
    path = f"{prefix_of(request)}{request.rel_url.raw_path}"
    return f'<{path}?{query}>; rel="next"'
