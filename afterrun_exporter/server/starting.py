"""Responses while the daemon waits for its database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

from aiohttp import web

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.route_prefix import NO_PREFIX, RoutePrefix
from afterrun_exporter.http_problems import problem, response
from afterrun_exporter.server import health
from afterrun_exporter.server.listen import cannot_listen
from afterrun_exporter.server.passed_sockets import Bind, PassedSocket
from afterrun_exporter.server.route_prefix import serve_under, within
from afterrun_exporter.server.security import SecuritySettings

WAITING: Final = "it waits for its database; the log has the reason"


@asynccontextmanager
async def answering_early(
    binds: Sequence[Bind],
    security: SecuritySettings,
    prefix: RoutePrefix = NO_PREFIX,
) -> AsyncIterator[None]:
    """Answer requests to *binds* until the context ends: healthy, and not ready.

    All other requests are refused. Raises ValueError if an address cannot be bound.
    """
    readiness = health.Readiness(lambda: WAITING)
    app = web.Application(middlewares=[within(prefix)])
    app.on_response_prepare.append(security.headers.prepare)
    app.add_routes(
        [
            *endpoints.HEALTHY.to(health.healthy),
            *endpoints.READY.to(readiness.handle),
            web.route("*", "/{path:.*}", refuse),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    serve_under(cast("web.Server", runner.server), prefix)
    context = security.certificates.context
    try:
        for bind in binds:
            site: web.BaseSite
            if isinstance(bind, PassedSocket):
                site = web.SockSite(runner, bind.socket.dup(), ssl_context=context)
            else:
                site = web.TCPSite(runner, bind.host, bind.port, ssl_context=context)
            try:
                await site.start()
            except OSError as error:
                raise ValueError(cannot_listen(bind, error)) from None
        yield
    finally:
        await runner.cleanup()


async def refuse(_: web.Request) -> web.Response:
    """Refuse a request, which may be sent again."""
    detail = f"the daemon is not ready: {WAITING}; nothing was recorded: send it again"
    answer = response(problem(503, detail, "starting"))
    answer.force_close()
    return answer
