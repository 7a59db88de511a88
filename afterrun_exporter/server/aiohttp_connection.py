"""Connections handled by aiohttp, with problem documents for unreadable requests.

Only documented or public methods of aiohttp are overridden. The one private attribute
that is read is the queue of requests: without it, a pipelined request on a half-closed
connection gets no response, and a body that breaks after its head is waited for until
the limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestPayloadError

from afterrun_exporter import http_problems
from afterrun_exporter.errors import BodyError
from afterrun_exporter.ingest.bodies import CONNECTION, skip_rest
from afterrun_exporter.ingest.native import Reports
from afterrun_exporter.server.admission import Admitted
from afterrun_exporter.server.request_counts import RequestCounts

#: The beginning of an HTTP request.
_METHOD: Final = re.compile(rb"[A-Z]{3,8} ")


class AiohttpConnection(web.RequestHandler):
    """A connection to `server`."""

    __slots__ = (
        "_began_at",
        "_is_ended",
        "_is_http",
        "_reports",
        "_request",
        "_requests",
        "admitted",
    )

    def __init__(
        self,
        server: web.Server,
        admitted: Admitted,
        reports: Reports,
        requests: RequestCounts,
        idle: float,
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            # No access log: one line per ping would hide everything else.
            access_log=cast("Any", None),
            keepalive_timeout=idle,
            **CONNECTION,
        )
        self.admitted = admitted
        self._reports = reports
        self._requests = requests
        #: False if the first bytes are no HTTP request line; None before they come.
        self._is_http: bool | None = None
        #: The request that aiohttp is answering.
        self._request: web.BaseRequest | None = None
        self._began_at = 0.0
        #: True once the client has closed its sending half.
        self._is_ended = False

    def begin(self, request: web.BaseRequest) -> None:
        """Record that *request* is about to be handled."""
        self.admitted.begin(request)
        self._request = request
        self._began_at = asyncio.get_running_loop().time()
        self._fail_broken_body()

    def data_received(self, data: bytes) -> None:
        if self._is_http is None:
            self._is_http = _METHOD.match(data) is not None
        super().data_received(data)
        self._fail_broken_body()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep a half-closed connection open until all requests are answered."""
        wire = self.admitted.wire
        if wire is None or wire.get_extra_info("sslcontext") is not None:
            # asyncio does not support half-closed TLS connections.
            return None
        self._is_ended = True
        self._fail_bodies(ConnectionResetError("the body is incomplete"))
        # A request that was just read is not in the queue yet, and has not begun.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._end)
        return True

    @property
    def is_busy(self) -> bool:
        """True if a request has not been answered yet."""
        return self._request is not None or bool(self._queue)

    @property
    def _queue(self) -> Sequence[tuple[Any, StreamReader]]:
        """The requests that have not begun; the last one may be unreadable."""
        return getattr(self, "_messages", ())

    def _end(self) -> None:
        """Close a half-closed connection as soon as all requests on it are answered."""
        busy = self.is_busy
        if not self._queue:
            self.close()
        if not busy and self.transport is not None:
            self.transport.close()

    def _fail_broken_body(self) -> None:
        """Stop waiting for a body that was followed by invalid data."""
        queue = self._queue
        if not queue or isinstance(queue[-1][0], RawRequestMessage):
            return
        error = getattr(queue[-1][0], "exc", None)
        if isinstance(error, HttpProcessingError):
            detail = http_problems.unreadable(error)["detail"]
            if self._fail_bodies(BodyError(detail)):
                self._reports.refuse(detail)

    def _fail_bodies(self, error: Exception) -> bool:
        """End incomplete bodies with *error*; return True if there is one."""
        bodies = [payload for _, payload in self._queue]
        if self._request is not None:
            bodies.append(self._request.content)
        failed = False
        for body in bodies:
            if not body.is_eof() and body.exception() is None:
                body.set_exception(error)
                failed = True
        return failed

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send and count the response.

        Close the connection if too much of the request is unread, and after the last
        response to a half-closed connection.
        """
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = http_problems.unsupported_expectation()
        sending_result = await super().finish_response(request, resp, start_time)
        now = asyncio.get_running_loop().time()
        # An unreadable request has no beginning.
        began_at = self._began_at if self._request is request else now
        self._requests.add(request, sending_result[0].status, now - began_at)
        if not await skip_rest(request):
            self.force_close()
        self._request = None
        if self._is_ended and not self._queue:
            self.close()
        return sending_result

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return a problem for an unreadable request, which is no internal error."""
        noise = isinstance(exc, BadHttpMethod) and not self._is_http
        noise = noise and not self.admitted.has_asked
        if noise or not isinstance(exc, HttpProcessingError):
            # Data other than HTTP, usually TLS, was no report.
            # The original message quotes the data.
            message = HTTPStatus.BAD_REQUEST.phrase if noise else message
            return super().handle_error(request, status, exc, message)
        problem = http_problems.unreadable(exc)
        self._reports.refuse(problem["detail"])
        response = http_problems.response(problem)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Log an internal error; a body that breaks after the response is none."""
        if isinstance(more.get("exc_info"), RequestPayloadError):
            self.log_debug(*args, **more)
        else:
            super().log_exception(*args, **more)


def registering(handler: Handler) -> Handler:
    """Wrap *handler* to register each request with its connection."""

    async def register(request: web.Request) -> web.StreamResponse:
        if isinstance(request.protocol, AiohttpConnection):
            request.protocol.begin(request)
        return await handler(request)

    return register
