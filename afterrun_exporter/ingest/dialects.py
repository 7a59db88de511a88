"""The dialects that other systems' clients speak, and where each listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from afterrun_exporter.ingest import (
    cronitor,
    cronitor_api,
    healthchecks,
    heartbeats,
    management,
    pathforms,
    pushgateway,
    schedulers,
    sentry,
    tasks,
)
from afterrun_exporter.ingest.desk import Desk

#: What makes the routes of each.
DIALECTS: Final[tuple[Callable[[Desk], list[web.RouteDef]], ...]] = (
    # A UUID is no key: its paths come before those with keys.
    healthchecks.routes,
    pathforms.routes,
    cronitor.routes,
    cronitor_api.routes,
    heartbeats.routes,
    management.routes,
    pushgateway.routes,
    schedulers.routes,
    sentry.routes,
    tasks.routes,
)


def routes(desk: Desk) -> list[web.RouteDef]:
    """Return the routes of every dialect but our own.

    Those that are more particular come before ``/ping/{job}``, which is ours.
    """
    return [route for dialect in DIALECTS for route in dialect(desk)]
