"""The aiohttp application: routes, middlewares and background tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter import __version__
from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.form_tokens import Forms
from afterrun_exporter.auth.middleware import AccessSettings, auth_middleware
from afterrun_exporter.auth.request_caller import SCOPE
from afterrun_exporter.auth.route_prefix import NO_PREFIX, RoutePrefix
from afterrun_exporter.clock import Clock
from afterrun_exporter.dialects import routes as dialects
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.runtime import running_service
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.endpoint import metrics, pushed_again
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.http_problems import errors_as_problems
from afterrun_exporter.ingest import native
from afterrun_exporter.ingest.bodies import CONNECTION
from afterrun_exporter.ingest.native import REPORTS, Reports
from afterrun_exporter.ingest.recorder import ReportRecorder
from afterrun_exporter.page.common_context import Site
from afterrun_exporter.page.error_pages import errors_as_pages
from afterrun_exporter.server import health
from afterrun_exporter.server.freshness import only_fresh
from afterrun_exporter.server.health import READINESS, Readiness
from afterrun_exporter.server.proxy_headers import behind
from afterrun_exporter.server.request_counts import REQUESTS, RequestCounts
from afterrun_exporter.server.route_prefix import ROUTE_PREFIX, within
from afterrun_exporter.server.security import SECURITY, SecuritySettings
from afterrun_exporter.server.service_discovery import targets


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """Options of the HTTP server."""

    telemetry_path: str = "/metrics"
    external_url: str = ""
    #: 0 for any number.
    max_requests: int = 40
    route_prefix: RoutePrefix = NO_PREFIX
    #: True if requests may reload and stop the daemon, False if neither; None if they may
    #: reload it.
    lifecycle: bool | None = None


def make_app(
    service: Service,
    clock: Clock,
    exposition: Exposition,
    pushed: PushedMetrics,
    reload: health.Reload,
    options: WebOptions,
    api: Iterable[web.RouteDef],
    security: SecuritySettings,
    site: Site,
    stop: Callable[[], None] | None = None,
) -> web.Application:
    """Return the application, which owns the background tasks.

    *api* are the routes of the JSON API and of the pages of *site*; *security* applies to
    every request. *stop* begins a shutdown.
    """
    middlewares = [
        behind(security.proxies),
        errors_as_problems,
        within(options.route_prefix),
        errors_as_pages(site, clock),
        auth_middleware(
            AccessSettings(
                authenticator=security.authenticator,
                proxies=security.proxies,
                hosts=security.hosts,
            ),
            clock,
            options.telemetry_path,
            dialects.refusal,
        ),
        up_to_date(service),
        only_fresh(service.outdated),
    ]
    app = web.Application(middlewares=middlewares, handler_args=dict(CONNECTION))
    app.on_response_prepare.append(security.headers.prepare)
    app[SECURITY] = security
    app[ROUTE_PREFIX] = options.route_prefix
    app[READINESS] = Readiness(service.outdated)
    recorder = ReportRecorder(service, clock, native.DIALECT)
    app[REPORTS] = Reports(recorder, clock)
    app[REQUESTS] = RequestCounts()
    exposition.watch_requests(app[REQUESTS])
    context = DialectContext(service, clock, pushed, options.external_url)
    app.add_routes(dialects.routes(context))
    app.add_routes(native.routes(recorder, clock, app[REPORTS]))
    app.add_routes(api)
    scrape = metrics(exposition, options.max_requests)
    app.add_routes(
        [
            *endpoints.METRICS.at(options.telemetry_path).to(scrape),
            *endpoints.PUSHED.to(pushed_again(pushed)),
            *endpoints.TARGETS.to(partial(targets, options.telemetry_path)),
            *endpoints.HEALTHY.to(health.healthy),
            *endpoints.READY.to(app[READINESS].handle),
            *endpoints.RELOAD.to(
                health.enabled(
                    partial(health.reload, reload), options.lifecycle is not False
                )
            ),
            *endpoints.QUIT.to(
                health.enabled(partial(health.quit_, stop), options.lifecycle is True)
            ),
        ]
    )
    app.cleanup_ctx.append(lambda _: running_service(service, clock))
    return app


def up_to_date(service: Service) -> Middleware:
    """Return a middleware for requests that show or change what replicas share.

    Such a request may follow another one that another replica has answered.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.get(SCOPE) in {Scope.READ, Scope.MANAGE, Scope.ADMIN}:
            await service.catch_up()
        return await handler(request)

    return middleware


def site_of(options: WebOptions, clock: Clock, service: Service | None = None) -> Site:
    """Return the site of the pages of *service* for *options*."""
    return Site(
        config_commit=service.revision if service else str,
        guard=Forms(clock, service.secret if service else None),
        version=__version__,
        external_url=options.external_url,
        telemetry_path=options.telemetry_path,
    )
