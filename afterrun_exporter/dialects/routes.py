"""Routes of the dialects of other systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web

from afterrun_exporter.auth import endpoints
from afterrun_exporter.dialects import heartbeats, schedulers
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.dialects.cronitor import monitor_api
from afterrun_exporter.dialects.cronitor import telemetry as cronitor
from afterrun_exporter.dialects.healthchecks import management
from afterrun_exporter.dialects.healthchecks import pings as healthchecks
from afterrun_exporter.dialects.pushgateway import pushes as pushgateway
from afterrun_exporter.dialects.sentry import check_ins as sentry
from afterrun_exporter.dialects.tasks import webhooks as tasks
from afterrun_exporter.errors import (
    ForbiddenError,
    TooManyLoginsError,
    UnauthorizedError,
)
from afterrun_exporter.http_problems import HEADERS, STATUS

#: Returns a response with a status and a text.
Refused = Callable[[int, str], web.Response]

_STATUS: Final[dict[type[Exception], int]] = {
    kind: STATUS[kind]
    for kind in (UnauthorizedError, ForbiddenError, TooManyLoginsError)
}

#: Methods of Cronitor's clients; OPTIONS is never a ping.
_CRONITOR: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST})


def shared_routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of paths that two dialects share, and of those below them.

    ``/ping/A/B`` is Healthchecks' ``/ping/KEY/SLUG`` and Cronitor's ``/ping/KEY/JOB``.
    """
    by_slug, by_key = healthchecks.handler(context), cronitor.by_key(context)

    async def either(request: web.Request) -> web.StreamResponse:
        is_cronitor = request.method in _CRONITOR and cronitor.speaks_cronitor(
            request.query
        )
        return await (by_key if is_cronitor else by_slug)(request)

    return [*endpoints.BY_KEY.to(either), *endpoints.BY_KEY_SIGNAL.to(by_slug)]


#: Functions that return the routes of each dialect.
DIALECTS: Final[tuple[Callable[[DialectContext], list[web.RouteDef]], ...]] = (
    # Paths with a UUID are matched before paths with a key.
    healthchecks.routes,
    shared_routes,
    cronitor.routes,
    monitor_api.routes,
    heartbeats.routes,
    management.routes,
    pushgateway.routes,
    schedulers.routes,
    sentry.routes,
    tasks.routes,
)


#: Dialects with their own format of error responses, by the prefix of their routes.
REFUSED: Final[tuple[tuple[str, Refused], ...]] = (
    ("/api/{project}/", sentry.refused),
    ("/api/push/", heartbeats.kuma_refused),
    ("/metrics/{job}", pushgateway.refused),
    ("/ping/{key}/", healthchecks.refused),
    ("/ping/{job}{slash}", healthchecks.refused),
    ("/ping/{job}/{signal}", healthchecks.refused),
    ("/{job}", healthchecks.refused),
)


def refusal(route: str, error: Exception) -> web.Response | None:
    """Return the error response for *route*; None if it is a problem document."""
    if error.__class__ not in _STATUS:
        return None
    for prefix, refused in REFUSED:
        if route.startswith(prefix):
            status = _STATUS[error.__class__]
            response = refused(status, str(error))
            response.headers.extend(HEADERS.get(status, ()))
            return response
    return None


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of every dialect except the native one.

    More specific paths come before the native ``/ping/{job}``.
    """
    return [route for dialect in DIALECTS for route in dialect(context)]
