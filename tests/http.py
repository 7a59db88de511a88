"""The application on a memory store and a clock turned by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from aiohttp import web
from aiohttp.test_utils import TestClient

from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api.routes import routes
from afterrun_exporter.app import WebOptions, make_app, site_of
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.proxies import Proxies
from afterrun_exporter.auth.tokens import Token, callers
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.secrets import digest
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.job_index import Index
from afterrun_exporter.page.routes import routes as page_routes
from afterrun_exporter.server.health import Reload
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.store import Store
from tests.fakes import ManualClock, MemoryStore

Client = TestClient[web.Request, web.Application]


async def no_reload(*, retire_all: bool = False) -> None:
    """Stand for a configuration file that has not changed."""


def app_of(
    service: Service,
    clock: Clock,
    options: WebOptions | None = None,
    pushed: PushedMetrics | None = None,
    *,
    more: Iterable[web.RouteDef] = (),
    reload: Reload = no_reload,
    security: SecuritySettings | None = None,
    stop: Callable[[], None] | None = None,
) -> web.Application:
    """Return the application as `serve` puts it together, with *more* routes."""
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    pushed = pushed or PushedMetrics(MemoryStore(), service, clock)
    options, security = options or WebOptions(), security or SecuritySettings()
    site = site_of(options, clock)
    return make_app(
        service, clock, exposition, pushed, reload, options, more, security, site, stop
    )


def whole_app(
    service: Service,
    store: Store,
    clock: ManualClock,
    security: SecuritySettings,
    pushed: PushedMetrics | None = None,
    options: WebOptions | None = None,
) -> web.Application:
    """Return the application as `serve` puts it together, API, pages and all."""
    receivers = Receivers(store, reload_alertmanager)
    pages = Context(
        service=service,
        store=store,
        receivers=receivers,
        job_admin=JobAdmin(service, clock),
        clock=clock,
        site=site_of(options or WebOptions(), clock, service),
        index=Index(service),
    )
    more = [*routes(service, store, receivers, clock), *page_routes(pages)]
    return app_of(service, clock, options, pushed, more=more, security=security)


def locked(**tokens: Token) -> SecuritySettings:
    """Return doors that *tokens* open, each of which is its name."""
    security = SecuritySettings()
    kept = [replace(token, hash=digest(name)) for name, token in tokens.items()]
    security.authenticator.trust_tokens(callers(kept))
    return security


def behind_a_proxy() -> SecuritySettings:
    """Return doors to which a proxy has led, by whatever name."""
    return SecuritySettings(proxies=Proxies(["127.0.0.1"]))


def token(*scopes: Scope, jobs: str | None = None) -> Token:
    """Return what a token with these scopes is kept as, but for its hash."""
    return Token("-".join(scopes), "", frozenset(scopes), jobs)
