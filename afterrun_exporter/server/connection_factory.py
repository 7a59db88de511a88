"""Factory of connections, with limits and the choice of the fast path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import aiohttp
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.clock import Clock
from afterrun_exporter.ingest.native import Reports
from afterrun_exporter.server import fast_path
from afterrun_exporter.server.admission import Admitted
from afterrun_exporter.server.aiohttp_connection import AiohttpConnection, registering
from afterrun_exporter.server.connection_limits import ConnectionLimiter
from afterrun_exporter.server.fast_path import FastPathConnection
from afterrun_exporter.server.in_flight import InFlightRequests
from afterrun_exporter.server.request_counts import RequestCounts
from afterrun_exporter.server.security import SecuritySettings

log = structlog.get_logger()


def connections(
    server: web.Server,
    reports: Reports,
    requests: RequestCounts,
    in_flight: InFlightRequests,
    clock: Clock,
    security: SecuritySettings,
    limiter: ConnectionLimiter,
    *,
    fast: bool = True,
    starts: Sequence[str] = (fast_path.PREFIX,),
) -> Callable[[], asyncio.Protocol]:
    """Return the factory of connections of *server*.

    Connections over the limit of *limiter* are refused. If *fast*, single reports bypass
    aiohttp; with an incompatible version of aiohttp they do not, which is only slower.
    Their paths begin with one of *starts*.
    """
    if fast and (missing := fast_path.missing()):
        log.error(
            "fast_path_unfit",
            aiohttp=aiohttp.__version__,
            missing=" ".join(missing),
            effect="pings take longer",
            way_out="use the aiohttp that pyproject.toml asks for",
        )
        fast = False
    server.request_handler = cast(
        "Any", registering(cast("Handler", server.request_handler))
    )
    idle = limiter.limits.idle

    def make(admitted: Admitted) -> asyncio.Protocol:
        if not fast:
            return AiohttpConnection(server, admitted, reports, requests, idle)
        return FastPathConnection(
            server,
            admitted,
            reports,
            requests,
            in_flight,
            clock,
            security,
            idle,
            starts,
        )

    def connect() -> asyncio.Protocol:
        if limiter.is_full:
            return limiter.refuse()
        return Admitted(limiter, security.certificates, make)

    return connect
