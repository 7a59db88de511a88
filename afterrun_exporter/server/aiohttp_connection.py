"""Connections on which aiohttp answers, with our words for what it cannot read.

Only methods that aiohttp documents, or calls by public names, are overridden here. Of
what has no such name, its queue of requests is read: without it, a request behind
another one on a half-closed connection is not answered, and a body that breaks after its
head is waited for until the limit.
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

#: How an HTTP request begins.
_METHOD: Final = re.compile(rb"[A-Z]{3,8} ")


class AiohttpConnection(web.RequestHandler):
    """A connection to `server`."""

    __slots__ = ("_is_ended", "_is_http", "_reports", "_request", "admitted")

    def __init__(
        self, server: web.Server, admitted: Admitted, reports: Reports, idle: float
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            # No access log: a line a ping would drown everything else.
            access_log=cast("Any", None),
            keepalive_timeout=idle,
            **CONNECTION,
        )
        self.admitted = admitted
        self._reports = reports
        #: False if the first bytes are no HTTP request line; None before they come.
        self._is_http: bool | None = None
        #: The request that aiohttp is answering.
        self._request: web.BaseRequest | None = None
        #: True once the client has closed its sending half.
        self._is_ended = False

    def begin(self, request: web.BaseRequest) -> None:
        """Note that *request* is about to be answered."""
        self.admitted.begin(request)
        self._request = request
        self._break_off()

    def data_received(self, data: bytes) -> None:
        if self._is_http is None:
            self._is_http = _METHOD.match(data) is not None
        super().data_received(data)
        self._break_off()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection of a client that sends no more until it is answered."""
        wire = self.admitted.wire
        if wire is None or wire.get_extra_info("sslcontext") is not None:
            # TLS has no half-closed connections here.
            return None
        self._is_ended = True
        self._fail_bodies(ConnectionResetError("the body is incomplete"))
        # A request that has just been read is in no queue, and has not begun.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._end)
        return True

    @property
    def is_busy(self) -> bool:
        """Whether a request has not been answered yet."""
        return self._request is not None or bool(self._queue)

    @property
    def _queue(self) -> Sequence[tuple[Any, StreamReader]]:
        """The requests that have not begun, and last what could not be read."""
        return getattr(self, "_messages", ())

    def _end(self) -> None:
        """Close a half-closed connection as soon as all requests on it are answered."""
        busy = self.is_busy
        if not self._queue:
            self.close()
        if not busy and self.transport is not None:
            self.transport.close()

    def _break_off(self) -> None:
        """Wait no longer for a body after which something else came than HTTP has there."""
        queue = self._queue
        if not queue or isinstance(queue[-1][0], RawRequestMessage):
            return
        error = getattr(queue[-1][0], "exc", None)
        if isinstance(error, HttpProcessingError):
            told = http_problems.unreadable(error)["detail"]
            if self._fail_bodies(BodyError(told)):
                self._reports.refuse(told)

    def _fail_bodies(self, error: Exception) -> bool:
        """Have bodies that are incomplete end with *error*; return True if one does."""
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
        """Send the response.

        The connection ends where too much of the request is left unread, and after the
        last response to a client that has closed its sending half.
        """
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = http_problems.unexpected()
        sent = await super().finish_response(request, resp, start_time)
        if not await skip_rest(request):
            self.force_close()
        self._request = None
        if self._is_ended and not self._queue:
            self.close()
        return sent

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be read as HTTP: that is no error of ours."""
        noise = isinstance(exc, BadHttpMethod) and not self._is_http
        noise = noise and not self.admitted.has_asked
        if noise or not isinstance(exc, HttpProcessingError):
            # What begins with no HTTP at all, TLS most often, was no report.
            # Its message quotes what came.
            message = HTTPStatus.BAD_REQUEST.phrase if noise else message
            return super().handle_error(request, status, exc, message)
        told = http_problems.unreadable(exc)
        self._reports.refuse(told["detail"])
        answer = http_problems.response(told)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Log an error of ours: a body that breaks after its answer is none."""
        if isinstance(more.get("exc_info"), RequestPayloadError):
            self.log_debug(*args, **more)
        else:
            super().log_exception(*args, **more)


def noting(handler: Handler) -> Handler:
    """Return *handler*, whose requests are noted by the connections they come on."""

    async def noted(request: web.Request) -> web.StreamResponse:
        if isinstance(request.protocol, AiohttpConnection):
            request.protocol.begin(request)
        return await handler(request)

    return noted
