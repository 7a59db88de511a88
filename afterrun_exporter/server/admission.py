"""Admitted connections: counted, with checked client certificates and time limits.

This module relies only on asyncio protocols and on the protocol of a request, so the
limits work with any version of aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web

from afterrun_exporter.server.connection_limits import ConnectionLimiter, Phase
from afterrun_exporter.server.tls import Certificates


class Admitted(asyncio.Protocol):
    """A connection that wraps the protocol returned by *make*."""

    def __init__(
        self,
        limiter: ConnectionLimiter,
        certificates: Certificates,
        make: Callable[[Admitted], asyncio.Protocol],
    ) -> None:
        self._limiter = limiter
        self._certificates = certificates
        self._make = make
        self._inner: asyncio.Protocol | None = None
        #: None before the connection is made, and after it is lost.
        self.wire: asyncio.Transport | None = None
        #: True if a request has arrived, and the last one passed to aiohttp.
        self.has_asked = False
        self._request: web.BaseRequest | None = None
        limiter.add(self)

    def begin(self, request: web.BaseRequest) -> None:
        """Record the arrival of *request*, whose body may be incomplete."""
        self.has_asked = True
        self._request = request

    def phase(self) -> Phase:
        """Return the phase in which this connection waits for its client."""
        if self.wire is not None and self.wire.get_write_buffer_size():
            return Phase.READING
        if not self.has_asked:
            return Phase.ASKING
        if self._request is not None and not self._request.content.is_eof():
            return Phase.SENDING
        return Phase.NONE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = cast("asyncio.Transport", transport)
        if not self._certificates.admit(transport):
            self.wire.abort()
            return
        self._inner = self._make(self)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limiter.discard(self)
        self.wire = None
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()
