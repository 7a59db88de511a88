"""Where the daemon listens, and how it stops doing so."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, Protocol, cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.clock import Clock
from afterrun_exporter.engine.periodic import running
from afterrun_exporter.ingest.native import REPORTS
from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.connection import connections
from afterrun_exporter.server.connection_limits import ConnectionLimiter, Limits
from afterrun_exporter.server.in_flight import InFlightRequests
from afterrun_exporter.server.security import SECURITY
from afterrun_exporter.server.tls import Certificates
from afterrun_exporter.server.tls_listener import TlsListener

#: Seconds that a stop takes at most.
STOP_SECONDS: Final = 8.0
#: Of these, seconds for what comes after the last answer: closing the database.
CLOSE_SECONDS: Final = 2.0
#: aiohttp waits twice as long for those that have not been answered.
_LAST_SECONDS: Final = 0.1

#: Connections that may wait to be taken.
BACKLOG: Final = 128
#: Files that are open besides connections.
OTHER_FILES: Final = 64

log = structlog.get_logger()


class _Closable(Protocol):
    def close(self) -> None: ...


@asynccontextmanager
async def listening(
    app: web.Application,
    binds: Sequence[Address],
    clock: Clock,
    limits: Limits | None = None,
    *,
    fast: bool = True,
    patience: float = STOP_SECONDS,
    hurry: asyncio.Event | None = None,
) -> AsyncIterator[ConnectionLimiter]:
    """Run *app*, and answer requests to *binds*; yield the connections there are.

    In the end, requests under way are answered first, if that takes less than *patience*
    less the time to close the database, and as long as there is no *hurry*. Raises
    ValueError when nobody may listen on one of them.
    """
    # No access log: a line a ping would drown everything else.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_SECONDS)
    in_flight, security = InFlightRequests(), app[SECURITY]
    await runner.setup()
    server = cast("web.Server", runner.server)
    # The application makes the requests: they are web.Requests.
    counted = in_flight.counting(cast("Handler", server.request_handler))
    server.request_handler = cast("Any", counted)
    limiter = ConnectionLimiter(with_files_for(limits or Limits()))
    connect = connections(
        server, app[REPORTS], in_flight, clock, security, limiter, fast=fast
    )
    open_: list[_Closable] = []
    try:
        async with running(limiter.task().run(clock)):
            try:
                for bind in binds:
                    open_ += await _open(bind, connect, security.certificates, limiter)
                yield limiter
            finally:
                for one in open_:
                    one.close()
                # aiohttp reads no more of a body once it shuts down.
                waits = patience - min(CLOSE_SECONDS, patience / 2)
                await in_flight.done(waits, hurry)
    finally:
        await runner.cleanup()


async def _open(
    bind: Address,
    connect: Callable[[], asyncio.Protocol],
    certificates: Certificates,
    limiter: ConnectionLimiter,
) -> Sequence[_Closable]:
    try:
        listeners = await _listen(bind, connect, certificates, limiter)
    except OSError as error:
        raise ValueError(f"cannot listen on {bind}: {error.strerror}") from None
    log.info("listening", address=str(bind))
    return listeners


def with_files_for(limits: Limits) -> Limits:
    """Return *limits* with no more connections than this process may have files.

    It asks the system for as many as it takes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OTHER_FILES + limits.connections + limits.told
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == wanted:
        return limits
    room = max(allowed - OTHER_FILES, 2)
    told = min(limits.told, room // 4)
    fewer = replace(limits, connections=min(limits.connections, room - told), told=told)
    if fewer.connections < limits.connections:
        log.warning(
            "fewer_connections",
            wanted=limits.connections,
            limit=fewer.connections,
            reason=f"the system allows this process {allowed} files",
            way_out="raise the limit (ulimit -n, or LimitNOFILE= in its systemd unit)",
        )
    return fewer


async def _listen(
    bind: Address,
    connect: Callable[[], asyncio.Protocol],
    certificates: Certificates,
    limiter: ConnectionLimiter,
) -> Sequence[_Closable]:
    loop = asyncio.get_running_loop()
    if certificates.context is None:
        server = await loop.create_server(connect, bind.host, bind.port)
        return [server]
    found = await loop.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    made: list[TlsListener] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            made.append(_encrypted(family, address, connect, certificates, limiter))
    except OSError:
        for one in made:
            one.close()
        raise
    return made


def _encrypted(
    family: int,
    address: Any,
    connect: Callable[[], asyncio.Protocol],
    certificates: Certificates,
    limiter: ConnectionLimiter,
) -> TlsListener:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Or it takes IPv4's port too, as asyncio does not let it either.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return TlsListener(bound, connect, certificates, limiter)
