"""Listening sockets, and graceful shutdown."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.clock import Clock
from afterrun_exporter.engine.periodic import running
from afterrun_exporter.ingest.native import REPORTS
from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.connection_factory import connections
from afterrun_exporter.server.connection_limits import ConnectionLimiter, Limits
from afterrun_exporter.server.fast_path import PREFIX
from afterrun_exporter.server.in_flight import InFlightRequests
from afterrun_exporter.server.passed_sockets import Bind, PassedSocket
from afterrun_exporter.server.request_counts import REQUESTS
from afterrun_exporter.server.route_prefix import ROUTE_PREFIX, serve_under
from afterrun_exporter.server.security import SECURITY
from afterrun_exporter.server.tls import Certificates
from afterrun_exporter.server.tls_listener import TlsListener

#: The longest shutdown, in seconds.
STOP_SECONDS: Final = 8.0
#: Seconds of these for closing the database after the last response.
CLOSE_SECONDS: Final = 2.0
#: aiohttp waits twice as long for unanswered requests.
_LAST_SECONDS: Final = 0.1

#: The most connections waiting to be accepted.
BACKLOG: Final = 128
#: Open files other than connections.
OTHER_FILES: Final = 64

log = structlog.get_logger()


@asynccontextmanager
async def listening(
    app: web.Application,
    binds: Sequence[Bind],
    clock: Clock,
    limits: Limits | None = None,
    *,
    fast: bool = True,
    patience: float = STOP_SECONDS,
    stop_now: asyncio.Event | None = None,
) -> AsyncIterator[ConnectionLimiter]:
    """Run *app* and handle requests to *binds*; yield the connections.

    At the end, wait for in-flight requests, for at most *patience* seconds minus the
    time to close the database, and until *stop_now* is set. Raises ValueError if an address
    cannot be bound.
    """
    # No access log: one line per ping would hide everything else.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_SECONDS)
    in_flight, security = InFlightRequests(), app[SECURITY]
    await runner.setup()
    server = cast("web.Server", runner.server)
    prefix = app[ROUTE_PREFIX]
    serve_under(server, prefix)
    # The application creates the requests, so they are web.Requests.
    counting_handler = in_flight.counting(cast("Handler", server.request_handler))
    server.request_handler = cast("Any", counting_handler)
    limiter = ConnectionLimiter(with_files_for(limits or Limits()))
    connect = connections(
        server,
        app[REPORTS],
        app[REQUESTS],
        in_flight,
        clock,
        security,
        limiter,
        fast=fast,
        starts=prefix.starts(PREFIX),
    )
    open_: list[asyncio.Server | TlsListener] = []
    try:
        async with running(limiter.task().run(clock)):
            try:
                for bind in binds:
                    try:
                        open_ += await _listen(
                            bind, connect, security.certificates, limiter
                        )
                    except OSError as error:
                        raise ValueError(cannot_listen(bind, error)) from None
                    log.info("listening", address=str(bind))
                yield limiter
            finally:
                for one in open_:
                    one.close()
                # aiohttp stops reading bodies during its shutdown, so wait before it.
                waits = patience - min(CLOSE_SECONDS, patience / 2)
                await in_flight.drain(waits, stop_now)
    finally:
        await runner.cleanup()


def cannot_listen(bind: Bind, error: OSError) -> str:
    """Return the reason why nothing can listen on *bind*, and the way out."""
    reason = f"cannot listen on {bind}: {error.strerror}"
    if not isinstance(bind, Address):
        return reason
    if error.errno == errno.EADDRINUSE:
        other = replace(bind, port=bind.port + 1 if bind.port < 65535 else 10707)
        reason += (
            "; another program, perhaps another afterrun, listens there "
            f"(`ss -ltnp 'sport = :{bind.port}'` shows it): stop it, or use another port "
            f"with --web.listen-address={other}"
        )
    elif error.errno == errno.EACCES:
        reason += (
            "; ports below 1024 need CAP_NET_BIND_SERVICE: use another one with "
            "--web.listen-address"
        )
    return reason


def with_files_for(limits: Limits) -> Limits:
    """Return *limits*, reduced to the number of files that this process may open.

    Raises the soft limit of the process as far as necessary.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = OTHER_FILES + limits.connections + limits.refused_at_once
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == needed:
        return limits
    room = max(allowed - OTHER_FILES, 2)
    refused_at_once = min(limits.refused_at_once, room // 4)
    fewer = replace(
        limits,
        connections=min(limits.connections, room - refused_at_once),
        refused_at_once=refused_at_once,
    )
    if fewer.connections < limits.connections:
        log.warning(
            "fewer_connections",
            configured=limits.connections,
            limit=fewer.connections,
            reason=f"the system allows this process {allowed} files",
            way_out="raise the limit (ulimit -n, or LimitNOFILE= in its systemd unit)",
        )
    return fewer


async def _listen(
    bind: Bind,
    connect: Callable[[], asyncio.Protocol],
    certificates: Certificates,
    limiter: ConnectionLimiter,
) -> Sequence[asyncio.Server | TlsListener]:
    """Return the listeners at *bind*; raise OSError if it cannot be bound."""
    loop = asyncio.get_running_loop()
    if isinstance(bind, PassedSocket):
        # A copy, because the listener closes it, and another one may follow.
        copy = bind.socket.dup()
        if certificates.context is not None:
            return [TlsListener(copy, connect, certificates, limiter)]
        if copy.family == socket.AF_UNIX:
            # From Python 3.13 on, the path would be deleted, which belongs to systemd.
            options: Any = (
                {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
            )
            return [await loop.create_unix_server(connect, sock=copy, **options)]
        return [await loop.create_server(connect, sock=copy)]
    if certificates.context is None:
        return [await loop.create_server(connect, bind.host, bind.port)]
    addresses = await loop.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[TlsListener] = []
    try:
        for family, _, _, _, address in dict.fromkeys(addresses):
            bound = socket.create_server(address, family=family, backlog=BACKLOG)
            listeners.append(TlsListener(bound, connect, certificates, limiter))
    except OSError:
        for one in listeners:
            one.close()
        raise
    return listeners
