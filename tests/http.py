"""The application on a memory store and a clock turned by hand."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web
from aiohttp.test_utils import TestClient

from afterrun_exporter.access.callers import Scope
from afterrun_exporter.access.tokens import Token, callers
from afterrun_exporter.api.routes import routes
from afterrun_exporter.app import WebOptions, make_app
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.secrets import digest
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.selfmetrics import SelfMetrics
from afterrun_exporter.receivers import Receivers
from afterrun_exporter.service import Service
from afterrun_exporter.testing import ManualClock, MemoryStore
from afterrun_exporter.upkeep import reload_alertmanager
from afterrun_exporter.web.guard import Doors

Client = TestClient[web.Request, web.Application]


async def no_reload() -> None:
    """Stand for a configuration file that has not changed."""


def app_of(
    service: Service,
    clock: Clock,
    options: WebOptions | None = None,
    doors: Doors | None = None,
) -> web.Application:
    """Return the application as `serve` puts it together, without the API."""
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    return make_app(service, clock, exposition, no_reload, options, doors=doors)


def whole_app(
    service: Service, store: MemoryStore, clock: ManualClock, doors: Doors
) -> web.Application:
    """Return the application as `serve` puts it together, API and all."""
    api = routes(service, store, Receivers(store, reload_alertmanager), clock)
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    return make_app(service, clock, exposition, no_reload, api=api, doors=doors)


def locked(**tokens: Token) -> Doors:
    """Return doors that *tokens* open, each of which is its name."""
    doors = Doors()
    kept = [replace(token, hash=digest(name)) for name, token in tokens.items()]
    doors.gate.trust_tokens(callers(kept))
    return doors


def token(*scopes: Scope, jobs: str | None = None) -> Token:
    """Return what a token with these scopes is kept as, but for its hash."""
    return Token("-".join(scopes), "", frozenset(scopes), jobs)
