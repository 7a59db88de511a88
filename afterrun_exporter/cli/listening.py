"""Where the daemon listens, and how it stops doing so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.app import DOORS, REPORTS
from afterrun_exporter.cli.addresses import Address
from afterrun_exporter.clock import Clock
from afterrun_exporter.web.express import connections
from afterrun_exporter.web.underway import UnderWay

#: What a stop waits for: requests under way are answered first.
DRAIN_SECONDS: Final = 10.0

log = structlog.get_logger()


@asynccontextmanager
async def listening(
    app: web.Application, binds: Sequence[Address], clock: Clock
) -> AsyncIterator[None]:
    """Run *app*, and answer requests to *binds*.

    Raises ValueError when nobody may listen on one of them.
    """
    # No access log: a line a ping would drown everything else.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN_SECONDS)
    under_way = UnderWay()
    await runner.setup()
    server = cast("web.Server", runner.server)
    # The application makes the requests: they are web.Requests.
    counted = under_way.counting(cast("Handler", server.request_handler))
    server.request_handler = cast("Any", counted)
    connect = connections(server, app[REPORTS], under_way, clock, app[DOORS])
    loop = asyncio.get_running_loop()
    sockets: list[asyncio.Server] = []
    try:
        for bind in binds:
            try:
                sockets.append(await loop.create_server(connect, bind.host, bind.port))
            except OSError as error:
                raise ValueError(f"cannot listen on {bind}: {error.strerror}") from None
            log.info("listening", address=str(bind))
        yield
    finally:
        for socket in sockets:
            socket.close()
        # aiohttp reads no more of a body once it shuts down.
        await under_way.done(DRAIN_SECONDS)
        await runner.cleanup()
