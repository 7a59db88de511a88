"""Connections on which aiohttp answers, with our words for what it cannot read.

Only methods that aiohttp documents, or calls by public names, are overridden here.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from afterrun_exporter import http_problems
from afterrun_exporter.ingest.bodies import CONNECTION, skip_rest
from afterrun_exporter.ingest.native import Reports
from afterrun_exporter.server.admission import Admitted

#: How an HTTP request begins.
_METHOD: Final = re.compile(rb"[A-Z]{3,8} ")


class Answering(web.RequestHandler):
    """A connection to `server`."""

    __slots__ = ("_is_http", "_reports", "admitted")

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

    def data_received(self, data: bytes) -> None:
        if self._is_http is None:
            self._is_http = _METHOD.match(data) is not None
        super().data_received(data)

    async def finish_response(
        self,
        request: web.BaseRequest,
        resp: web.StreamResponse,
        start_time: float | None,
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response.

        The connection ends where too much of the request is left unread.
        """
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = http_problems.unexpected()
        sent = await super().finish_response(request, resp, start_time)
        if not await skip_rest(request):
            self.force_close()
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
