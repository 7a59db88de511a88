"""Connections on which single reports are answered without ceremony.

A request object, a task, a router, middlewares and a response object take aiohttp
longer than all that we do with a report. So a connection that brings nothing but
plain reports is answered right from what aiohttp's parser has read. The first
request that is anything else hands the connection over to aiohttp, for good.
"""

from __future__ import annotations

import asyncio
import re
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
from afterrun_exporter.ingest.native import Reports, text
from afterrun_exporter.server.admission import Admitted
from afterrun_exporter.server.aiohttp_connection import AiohttpConnection
from afterrun_exporter.server.headers import DATA
from afterrun_exporter.server.in_flight import InFlightRequests
from afterrun_exporter.server.proxied import FOR
from afterrun_exporter.server.security import SecuritySettings

#: Longer heads are refused by the parser in any case.
MAX_HEAD: Final = 8190

_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ [^\r\n]+ HTTP/1\.[01]\n")
_CHUNKED: Final = re.compile(rb"\ntransfer-encoding\s*:", re.IGNORECASE)

#: The connection is closed after such a request: nothing can hide behind it.
_LAST: Final = b"Connection: close\r\n\r\n"


def is_bare(start: bytes) -> bool:
    """Return True if a connection *start*s with a request line that ends with LF."""
    return _REQUEST_LINE.match(start) is not None


def is_whole(start: bytes) -> bool:
    """Return True if there is nothing to wait for: the head is complete, or refused."""
    return b"\n\n" in start or b"\r" in start or len(start) > MAX_HEAD


def with_crlf(start: bytes) -> bytes:
    """Return a bare request as HTTP has it.

    A head that mixes both line ends, or has a Transfer-Encoding, stays as it is, so that
    the parser refuses it: a proxy in front may have read it differently.
    """
    head, blank, body = start.partition(b"\n\n")
    if not blank or b"\r" in head or _CHUNKED.search(head):
        return start
    return b"%b\r\n%b%b" % (head.replace(b"\n", b"\r\n"), _LAST, body)


PREFIX: Final = "/ping/"

#: What aiohttp does not promise to keep, and `FastPathConnection` needs of it.
NEEDED: Final = (
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
    """Return what this aiohttp lacks that `FastPathConnection` needs; nothing where it fits."""
    return tuple(name for name in NEEDED if not hasattr(web.RequestHandler, name))


class FastPathConnection(AiohttpConnection):
    """A connection to `server`, with the reports on it taken on the way."""

    __slots__ = (
        "_clock",
        "_held",
        "_in_flight",
        "_peer",
        "_security",
        "_sender",
    )

    def __init__(
        self,
        server: web.Server,
        admitted: Admitted,
        reports: Reports,
        in_flight: InFlightRequests,
        clock: Clock,
        security: SecuritySettings,
        idle: float,
    ) -> None:
        super().__init__(server, admitted, reports, idle)
        self._in_flight = in_flight
        self._clock = clock
        self._security = security
        #: What a proxy says is believed of, "" where nothing is.
        self._peer = ""
        self._sender = b""
        #: The start of a request whose head is still incomplete, lines ending with LF.
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self.peername
        # As web.BaseRequest.remote has it.
        sender = str(peer[0] if isinstance(peer, tuple) else peer or "")
        self._peer = sender if self._security.proxies.trusts(sender) else ""
        self._sender = sender.encode()

    def data_received(self, data: bytes) -> None:
        if not self._request_count:
            data = self._first(self._held + data)
            if not data:
                return
        super().data_received(data)

    def _first(self, data: bytes) -> bytes:
        """Return the first bytes of a connection for the parser; b"" to wait for more."""
        self._held = b""
        # A trusted proxy sends CRLF: what it passes on with LF alone is suspicious.
        if self._peer or not is_bare(data):
            return data
        if not is_whole(data):
            self._held = data
            return b""
        return with_crlf(data)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        if self._held:
            # The parser refuses it, in an answer that the client still reads.
            super().data_received(self._held)
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
            with self._in_flight:
                answer = await self._answer(job, payload.read_nowait(), headers, caller)
            if self.transport is None:
                return
            ended = self._is_ended and not self._messages
            stopping = self._in_flight.stopping or self._close or ended
            added = self._security.headers.lines
            self.transport.write(_written(answer, self._clock.now(), stopping, added))
            if stopping:
                self.transport.close()
                return
            self._next_keepalive_close_time = self._loop.time() + self.keepalive_timeout

    def _plain(self) -> str:
        """Return the job of the next request, "" if it is not a plain report.

        One that came with its whole body, and nothing behind it.
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
        job = message.path.removeprefix(PREFIX)
        if job is message.path or not JOB_NAME.fullmatch(job):
            return ""
        # Who pings a UUID speaks Healthchecks' dialect.
        return "" if job.count("-") == 4 and UUID.fullmatch(job.lower()) else job

    def _caller(self) -> Caller | None:
        """Return who sends the next request; None if that takes a closer look.

        Whoever is refused is refused by the application, in its words.
        """
        authenticator = self._security.authenticator
        if authenticator.is_open:
            return ANYBODY
        headers = cast("RawRequestMessage", self._messages[0][0]).headers
        # What a browser sends is looked at more closely.
        if hdrs.ORIGIN in headers or "Sec-Fetch-Site" in headers:
            return None
        caller = authenticator.at_once(headers.get(hdrs.AUTHORIZATION, ""))
        return caller if caller is not None and caller.may(Scope.PING) else None

    async def _answer(
        self, job: str, body: bytes, headers: CIMultiDictProxy[str], caller: Caller
    ) -> dict[str, Any]:
        sender = self._sender
        if self._peer:
            told = self._security.proxies.client(self._peer, headers.getall(FOR, []))
            sender = told.encode()
        try:
            return await self._reports.take(job, body, sender, headers, caller)
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            return http_problems.told(error, hdrs.METH_POST, PREFIX + job)


def _written(answer: dict[str, Any], now: float, last: bool, added: bytes) -> bytes:
    """Return *answer* as it goes over the wire, as aiohttp would write it.

    *added* are lines of headers that an operator adds.
    """
    body, status, more = text(answer), b"200 OK", added + _DATA
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
