"""The application on a memory store and a clock turned by hand."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from aiohttp.test_utils import TestClient

from afterrun_exporter.app import WebOptions, make_app
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.selfmetrics import SelfMetrics
from afterrun_exporter.pushed import Pushed
from afterrun_exporter.service import Service
from afterrun_exporter.testing import ManualClock, MemoryStore
from afterrun_exporter.web.health import Reload

Client = TestClient[web.Request, web.Application]


async def no_reload() -> None:
    """Stand for a configuration file that has not changed."""


def app_of(
    service: Service,
    clock: ManualClock,
    options: WebOptions | None = None,
    pushed: Pushed | None = None,
    *,
    more: Iterable[web.RouteDef] = (),
    reload: Reload = no_reload,
) -> web.Application:
    """Return the application as `serve` puts it together, with *more* routes."""
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    pushed = pushed or Pushed(MemoryStore(), service, clock)
    return make_app(service, clock, exposition, pushed, reload, options, more)
