"""A daemon on a port, with the way in that reports have in front of aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.service import Service
from afterrun_exporter.ingest.native import REPORTS
from afterrun_exporter.server import connection_factory
from afterrun_exporter.server.connection_limits import ConnectionLimiter, Limits
from afterrun_exporter.server.fast_path import PREFIX
from afterrun_exporter.server.in_flight import InFlightRequests
from afterrun_exporter.server.request_counts import REQUESTS
from afterrun_exporter.server.route_prefix import ROUTE_PREFIX, serve_under
from afterrun_exporter.server.security import SECURITY, SecuritySettings
from tests.fakes import ManualClock
from tests.http import app_of


class Door:
    """A daemon on a port of its own."""

    def __init__(
        self,
        app: web.Application,
        port: int,
        in_flight: InFlightRequests,
        limiter: ConnectionLimiter,
    ) -> None:
        self.app = app
        self.port = port
        self.limiter = limiter
        self.in_flight = in_flight
        #: Paths of the requests that aiohttp was left with.
        self.ceremonies: list[str] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def answer(self, *pieces: bytes) -> tuple[str, dict[str, str], bytes]:
        """Return status, headers and body of the answer to *pieces*, sent one by one."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            # The daemon reads it before the next one is sent.
            await yield_to_loop()
            await yield_to_loop()
        made = await read(reader)
        writer.close()
        return made


async def read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """Return status, headers and body of the next answer, whose length is told."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    return head[0], headers, body


@asynccontextmanager
async def opened(
    service: Service,
    clock: ManualClock,
    *,
    front: bool = True,
    app: web.Application | None = None,
    security: SecuritySettings | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Door]:
    """Yield a daemon, with the fast path in *front* of aiohttp or without.

    *app* is what it serves: if none is given, one without API and pages.
    """
    app = app or app_of(service, clock, security=security)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    server = cast("web.Server", runner.server)
    prefix = app[ROUTE_PREFIX]
    serve_under(server, prefix)
    in_flight = InFlightRequests()
    counted = in_flight.counting(cast("Any", server.request_handler))
    door: Door

    async def noted(request: web.Request) -> web.StreamResponse:
        door.ceremonies.append(request.path)
        return await counted(request)

    server.request_handler = cast("Any", noted)
    limiter = ConnectionLimiter(limits or Limits())
    made = connection_factory.connections(
        server,
        app[REPORTS],
        app[REQUESTS],
        in_flight,
        clock,
        app[SECURITY],
        limiter,
        fast=front,
        starts=prefix.starts(PREFIX),
    )
    listener = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    door = Door(app, listener.sockets[0].getsockname()[1], in_flight, limiter)
    try:
        yield door
    finally:
        listener.close()
        await runner.cleanup()
