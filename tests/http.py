"""The application on a memory store and a clock turned by hand."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import TestClient

from afterrun_exporter.app import WebOptions, make_app
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.selfmetrics import SelfMetrics
from afterrun_exporter.service import Service
from afterrun_exporter.testing import ManualClock

Client = TestClient[web.Request, web.Application]


async def no_reload() -> None:
    """Stand for a configuration file that has not changed."""


def app_of(
    service: Service, clock: ManualClock, options: WebOptions | None = None
) -> web.Application:
    """Return the application as `serve` puts it together."""
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    return make_app(service, clock, exposition, no_reload, options)
