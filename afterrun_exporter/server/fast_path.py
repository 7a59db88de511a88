"""Fast path for connections with single reports, which bypasses aiohttp's handlers.

Request and response objects, a task, the router and middlewares of aiohttp take longer
than recording a report. So requests that are plain reports are answered directly from
the output of aiohttp's parser. The first other request hands the connection over to
aiohttp permanently.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import SERVER_SOFTWARE, RawRequestMessage
from multidict import CIMultiDictProxy

from afterrun_exporter import http_problems
from afterrun_exporter.auth.callers import ANYBODY, Caller, Scope
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.model import JOB_NAME, UUID
from afterrun_exporter.ingest.native import Reports
from afterrun_exporter.ingest.responses import on_one_line
from afterrun_exporter.server.admission import Admitted
from afterrun_exporter.server.aiohttp_connection import AiohttpConnection
from afterrun_exporter.server.headers import DATA
from afterrun_exporter.server.in_flight import InFlightRequests
from afterrun_exporter.server.proxy_headers import FOR
from afterrun_exporter.server.request_counts import RequestCounts
from afterrun_exporter.server.security import SecuritySettings

#: The most bytes of a head; the parser refuses longer ones.
MAX_HEAD: Final = 8190

_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ [^\r\n]+ HTTP/1\.[01]\n")
_CHUNKED: Final = re.compile(rb"\ntransfer-encoding\s*:", re.IGNORECASE)

#: Closes the connection after such a request, to prevent request smuggling.
_LAST: Final = b"Connection: close\r\n\r\n"


def is_bare(start: bytes) -> bool:
    """Return True if *start* begins with a request line that ends with a bare LF."""
    return _REQUEST_LINE.match(start) is not None


def is_whole(start: bytes) -> bool:
    """Return True if the head is complete, or too long."""
    return b"\n\n" in start or b"\r" in start or len(start) > MAX_HEAD


def with_crlf(start: bytes) -> bytes:
    """Return *start* with CRLF line ends in its head.

    A head that mixes both line ends, or has a Transfer-Encoding, is returned unchanged,
    so that the parser refuses it: a proxy may have parsed it differently.
    """
    head, blank, body = start.partition(b"\n\n")
    if not blank or b"\r" in head or _CHUNKED.search(head):
        return start
    return b"%b\r\n%b%b" % (head.replace(b"\n", b"\r\n"), _LAST, body)


PREFIX: Final = "/ping/"

#: Private attributes of aiohttp that `FastPathConnection` needs.
NEEDED_ATTRIBUTES: Final = (
    "_buffer_paused",
    "_close",
    "_force_close",
    "_keepalive_handle",
    "_loop",
    "_messages",
    "_next_keepalive_close_time",
    "_parser",
    "_request_count",
    "_waiter",
)


def missing() -> tuple[str, ...]:
    """Return the needed attributes that the installed aiohttp lacks."""
    return tuple(
        name for name in NEEDED_ATTRIBUTES if not hasattr(web.RequestHandler, name)
    )


class FastPathConnection(AiohttpConnection):
    """A connection to `server` that records plain reports itself."""

    __slots__ = (
        "_clock",
        "_in_flight",
        "_partial_head",
        "_peer",
        "_security",
        "_sender",
        "_starts",
    )

    def __init__(
        self,
        server: web.Server,
        admitted: Admitted,
        reports: Reports,
        requests: RequestCounts,
        in_flight: InFlightRequests,
        clock: Clock,
        security: SecuritySettings,
        idle: float,
        starts: Sequence[str] = (PREFIX,),
    ) -> None:
        super().__init__(server, admitted, reports, requests, idle)
        self._in_flight = in_flight
        self._clock = clock
        self._security = security
        #: The beginnings of the paths of reports.
        self._starts = starts
        #: The address of a trusted proxy; "" for other clients.
        self._peer = ""
        self._sender = b""
        #: The start of a request whose head is still incomplete, lines ending with LF.
        self._partial_head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self.peername
        # The same value as web.BaseRequest.remote.
        sender = str(peer[0] if isinstance(peer, tuple) else peer or "")
        self._peer = sender if self._security.proxies.trusts(sender) else ""
        self._sender = sender.encode()

    def data_received(self, data: bytes) -> None:
        if not self._request_count:
            data = self._first(self._partial_head + data)
            if not data:
                return
        super().data_received(data)

    def _first(self, data: bytes) -> bytes:
        """Return the first bytes of a connection for the parser; b"" to wait for more."""
        self._partial_head = b""
        # Trusted proxies send CRLF, so bare LF from one is suspicious.
        if self._peer or not is_bare(data):
            return data
        if not is_whole(data):
            self._partial_head = data
            return b""
        return with_crlf(data)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        if self._partial_head:
            # The parser refuses it with a response that the client can still read.
            super().data_received(self._partial_head)
        return super().eof_received()

    @property
    def is_busy(self) -> bool:
        return self._waiter is None

    async def start(self) -> None:
        """Answer requests until the connection closes."""
        while not self._force_close:
            if not self._messages:
                if self._close:
                    self.force_close()
                    return
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            job = self._plain()
            caller = self._caller() if job else None
            if caller is None:
                await super().start()
                return
            self.admitted.has_asked = True
            message, payload = self._messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
            headers = cast("RawRequestMessage", message).headers
            began_at = self._loop.time()
            with self._in_flight:
                answer = await self._answer(job, payload.read_nowait(), headers, caller)
            now = self._loop.time()
            code = answer["status"] if "title" in answer else 200
            self._requests.ping(code, now - began_at)
            if self.transport is None:
                return
            is_last = self._is_ended and not self._messages
            stopping = self._in_flight.stopping or self._close or is_last
            added = self._security.headers.lines
            self.transport.write(_serialize(answer, self._clock.now(), stopping, added))
            if stopping:
                self.transport.close()
                return
            self._next_keepalive_close_time = now + self.keepalive_timeout

    def _plain(self) -> str:
        """Return the job of the next request; "" if it is not a plain report.

        A plain report has arrived with its whole body, and without a next request.
        """
        message, payload = self._messages[0]
        if (
            len(self._messages) > 1
            or not isinstance(message, RawRequestMessage)
            or message.method != hdrs.METH_POST
            or message.version != HttpVersion11
            or message.should_close
            or message.compression
            or message.upgrade
            or hdrs.EXPECT in message.headers
            or not payload.is_eof()
            or payload.exception() is not None
            or payload.total_bytes > self._reports.body_limit
            or self._buffer_paused
            or self.writing_paused
            or self._in_flight.stopping
        ):
            return ""
        job = self._named(message.path)
        if not JOB_NAME.fullmatch(job):
            return ""
        # A ping of a UUID is in Healthchecks' dialect.
        return "" if job.count("-") == 4 and UUID.fullmatch(job.lower()) else job

    def _named(self, path: str) -> str:
        """Return the job in *path*; "" if it is no path of a report."""
        for start in self._starts:
            if path.startswith(start):
                return path[len(start) :]
        return ""

    def _caller(self) -> Caller | None:
        """Return the caller of the next request; None to leave it to the application.

        The application also refuses requests.
        """
        authenticator = self._security.authenticator
        if authenticator.is_open:
            return ANYBODY
        headers = cast("RawRequestMessage", self._messages[0][0]).headers
        # Requests from browsers need the checks of the application.
        if hdrs.ORIGIN in headers or "Sec-Fetch-Site" in headers:
            return None
        caller = authenticator.caller_if_known(headers.get(hdrs.AUTHORIZATION, ""))
        return caller if caller is not None and caller.may(Scope.PING) else None

    async def _answer(
        self, job: str, body: bytes, headers: CIMultiDictProxy[str], caller: Caller
    ) -> dict[str, Any]:
        sender = self._sender
        if self._peer:
            client = self._security.proxies.client(self._peer, headers.getall(FOR, []))
            sender = client.encode()
        try:
            return await self._reports.record(job, body, sender, headers, caller)
        except Exception as error:  # noqa: BLE001 - it becomes the response
            return http_problems.logged_problem(error, hdrs.METH_POST, PREFIX + job)


def _serialize(answer: dict[str, Any], now: float, last: bool, added: bytes) -> bytes:
    """Return *answer* as an HTTP response, serialized like aiohttp's.

    *added* are the lines of configured headers.
    """
    body, status, more = on_one_line(answer), b"200 OK", added + _DATA
    content_type = b"application/json"
    if "title" in answer:
        response = http_problems.response(answer)
        body = cast("bytes", response.body)
        status = f"{response.status} {HTTPStatus(response.status).phrase}".encode()
        content_type = response.headers[hdrs.CONTENT_TYPE].encode()
        if hdrs.RETRY_AFTER in response.headers:
            more += b"Retry-After: %b\r\n" % response.headers[hdrs.RETRY_AFTER].encode()
    if last:
        more += b"Connection: close\r\n"
    return (
        b"HTTP/1.1 %b\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n"
        b"Date: %b\r\nServer: %b\r\n\r\n%b"
    ) % (status, content_type, more, len(body), _date(int(now)), _SERVER, body)


_DATA: Final = "".join(f"{name}: {value}\r\n" for name, value in DATA.items()).encode()
_SERVER: Final = SERVER_SOFTWARE.encode()


@lru_cache(maxsize=1)
def _date(now: int) -> bytes:
    return formatdate(now, usegmt=True).encode()
