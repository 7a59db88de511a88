"""The dialects that other systems' clients speak, and where each listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from afterrun_exporter.dialects import heartbeats, schedulers, shared_paths
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

#: Makes an answer of a status and a text.
Refused = Callable[[int, str], web.Response]

_STATUS: Final[dict[type[Exception], int]] = {
    kind: STATUS[kind]
    for kind in (UnauthorizedError, ForbiddenError, TooManyLoginsError)
}

#: What makes the routes of each.
DIALECTS: Final[tuple[Callable[[DialectContext], list[web.RouteDef]], ...]] = (
    # A UUID is no key: its paths come before those with keys.
    healthchecks.routes,
    shared_paths.routes,
    cronitor.routes,
    monitor_api.routes,
    heartbeats.routes,
    management.routes,
    pushgateway.routes,
    schedulers.routes,
    sentry.routes,
    tasks.routes,
)


#: Those whose clients read refusals in words of their own, by how their routes begin.
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
    """Return what a client of *route* is told that may not report; None for a problem."""
    if error.__class__ not in _STATUS:
        return None
    for prefix, refused in REFUSED:
        if route.startswith(prefix):
            status = _STATUS[error.__class__]
            answer = refused(status, str(error))
            answer.headers.extend(HEADERS.get(status, ()))
            return answer
    return None


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of every dialect but our own.

    Those that are more particular come before ``/ping/{job}``, which is ours.
    """
    return [route for dialect in DIALECTS for route in dialect(context)]
