"""The scope that each route requires.

A route that is missing in the table requires the scope ADMIN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from afterrun_exporter.auth.callers import Scope

#: Routes that require no scope.
OPEN: Final = None
#: Placeholder for the configurable path of the metrics.
TELEMETRY: Final = "{telemetry}"
#: All methods of a route that have no row of their own.
ANY: Final = "*"

_PING, _SCRAPE = Scope.PING, Scope.SCRAPE
_READ, _MANAGE, _ADMIN = Scope.READ, Scope.MANAGE, Scope.ADMIN

#: Methods, route and scope. HEAD requires the same scope as GET.
ROWS: Final[tuple[tuple[str, str, Scope | None], ...]] = (
    ("GET", "/-/healthy", OPEN),
    ("GET", "/-/ready", OPEN),
    # Browsers send OPTIONS first, without a token. It is never a ping.
    ("OPTIONS", "/ping", OPEN),
    ("OPTIONS", "/ping/{job}", OPEN),
    ("OPTIONS", "/ping/{job}{slash}", OPEN),
    ("OPTIONS", "/ping/{job}/{signal}{slash}", OPEN),
    ("OPTIONS", "/{job}{slash}", OPEN),
    ("OPTIONS", "/{job}/{signal}{slash}", OPEN),
    ("OPTIONS", "/ping/{key}/{job}{slash}", OPEN),
    ("OPTIONS", "/ping/{key}/{job}/{signal}{slash}", OPEN),
    # The native protocol.
    ("POST", "/ping", _PING),
    ("GET POST", "/ping/{job}", _PING),
    # Healthchecks, and Cronitor on the same paths.
    (ANY, "/ping/{job}{slash}", _PING),
    (ANY, "/ping/{job}/{signal}{slash}", _PING),
    (ANY, "/{job}{slash}", _PING),
    (ANY, "/{job}/{signal}{slash}", _PING),
    (ANY, "/ping/{key}/{job}{slash}", _PING),
    (ANY, "/ping/{key}/{job}/{signal}{slash}", _PING),
    # Cronitor.
    ("GET POST", "/p/{key}/{job}{slash}", _PING),
    ("GET POST", "/p/{key}/{job}/{state}{slash}", _PING),
    # Uptime Kuma, Dead Man's Snitch, Better Stack.
    ("GET POST PUT PATCH", "/api/push/{job}{slash}", _PING),
    ("GET POST", "/snitch/{job}{slash}", _PING),
    ("GET POST", "/api/v1/heartbeat/{job}{slash}", _PING),
    ("GET POST", "/api/v1/heartbeat/{job}/{how}{slash}", _PING),
    # Pushgateway.
    ("PUT POST DELETE", "/metrics/{job}", _PING),
    ("GET", "/api/v1/status", _PING),
    # Sentry.
    ("GET POST", "/api/{project}/cron/{job}", _PING),
    ("GET POST", "/api/{project}/cron/{job}/", _PING),
    ("GET POST", "/api/{project}/cron/{job}/{key}", _PING),
    ("GET POST", "/api/{project}/cron/{job}/{key}/", _PING),
    ("POST", "/api/{project}/envelope", _PING),
    ("POST", "/api/{project}/envelope/", _PING),
    # Other data that clients send to a DSN.
    ("POST", "/api/store{slash}", _PING),
    ("POST", "/api/{project}/store{slash}", _PING),
    ("POST", "/api/{project}/minidump{slash}", _PING),
    ("POST", "/api/{project}/unreal/{key}{slash}", _PING),
    ("POST", "/api/{project}/playstation{slash}", _PING),
    ("POST", "/api/{project}/security{slash}", _PING),
    ("POST", "/api/{project}/csp-report{slash}", _PING),
    ("POST", "/api/{project}/nel{slash}", _PING),
    ("POST", "/api/{project}/events/{event}/attachments{slash}", _PING),
    ("POST", "/api/{project}/integration/otlp/v1/{kind}{slash}", _PING),
    # Schedulers and task runners.
    ("POST", "/runs", _PING),
    ("POST", "/events", _PING),
    ("POST PUT", "/task", _PING),
    ("PATCH DELETE", "/task/{task}", _PING),
    ("PATCH", "/task/pause/{task}", _PING),
    ("POST", "/hooks/task/{event}", _PING),
    # Metrics.
    ("GET", TELEMETRY, _SCRAPE),
    ("GET", "/metrics/pushed", _SCRAPE),
    ("GET", "/-/targets", _SCRAPE),
    # The page and the API.
    ("GET", "/", _READ),
    ("GET", "/jobs/{job}", _READ),
    ("GET", "/static/{name}", OPEN),
    ("POST", "/jobs/{job}/pause", _ADMIN),
    ("POST", "/jobs/{job}/resume", _ADMIN),
    ("POST", "/jobs/{job}/retire", _ADMIN),
    ("POST", "/jobs/{job}/receivers", _ADMIN),
    ("POST", "/jobs/{job}/receivers/{id}/delete", _ADMIN),
    ("GET", "/api/v1/jobs", _READ),
    ("GET", "/api/v1/jobs/{job}", _READ),
    ("GET", "/api/v1/jobs/{job}/runs", _READ),
    ("GET", "/api/v1/jobs/{job}/receivers", _READ),
    ("GET", "/api/v1/receivers", _READ),
    ("GET", "/api/v1/receivers/{id}", _READ),
    ("GET", "/api/v1/alerts", _READ),
    ("GET", "/api/v1/alerts/stats", _READ),
    ("GET", "/api/v1/", _READ),
    ("GET", "/api/v1/docs", _READ),
    ("GET", "/api/v1/openapi.json", _READ),
    ("GET", "/api/v1/jobs/{job}/alerts", _READ),
    ("GET", "/badge/{job}.svg", _READ),
    ("POST", "/api/v1/jobs/{job}/backtest", _READ),
    ("POST", "/api/v1/check", _ADMIN),
    ("DELETE", "/api/v1/jobs/{job}", _ADMIN),
    ("POST", "/api/v1/jobs/{job}/pause", _ADMIN),
    ("POST", "/api/v1/jobs/{job}/resume", _ADMIN),
    # Healthchecks' management API.
    ("GET", "/api/v{version}/checks{slash}", _MANAGE),
    ("GET", "/api/v{version}/checks/{uuid}{slash}", _MANAGE),
    ("GET", "/api/v{version}/checks/{uuid}/pings{slash}", _MANAGE),
    ("GET", "/api/v{version}/checks/{uuid}/pings/{number}/body{slash}", _MANAGE),
    ("GET", "/api/v{version}/checks/{uuid}/flips{slash}", _MANAGE),
    ("GET", "/api/v{version}/channels{slash}", _MANAGE),
    ("GET", "/api/v{version}/badges{slash}", _MANAGE),
    ("POST", "/api/v{version}/checks{slash}", _MANAGE),
    ("POST DELETE", "/api/v{version}/checks/{uuid}{slash}", _MANAGE),
    ("POST", "/api/v{version}/checks/{uuid}/pause{slash}", _MANAGE),
    ("POST", "/api/v{version}/checks/{uuid}/resume{slash}", _MANAGE),
    # Cronitor's, whose clients pause with a GET.
    ("PUT", "/api/monitors", _MANAGE),
    ("GET", "/api/monitors/{job}", _MANAGE),
    ("DELETE", "/api/monitors/{job}", _MANAGE),
    ("GET", "/api/monitors/{job}/pause", _MANAGE),
    ("GET", "/api/monitors/{job}/pause/{hours}", _MANAGE),
    ("POST", "/api/v1/jobs/{job}/receivers", _ADMIN),
    ("DELETE", "/api/v1/receivers/{id}", _ADMIN),
    ("POST", "/api/v1/alerts/test", _ADMIN),
    ("POST", "/-/reload", _ADMIN),
)

TABLE: Final[Mapping[tuple[str, str], Scope | None]] = {
    (method, route): scope
    for methods, route, scope in ROWS
    for method in methods.split()
}

#: Methods without side effects.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Routes on which GET has a side effect: Cronitor's clients pause with it.
_UNSAFE: Final = frozenset(
    {"/api/monitors/{job}/pause", "/api/monitors/{job}/pause/{hours}"}
)


def is_listed(method: str, route: str) -> bool:
    """Return True if the table has a scope for *method* of *route*."""
    return _row(method, route) is not None


def required_scope(method: str, route: str) -> Scope | None:
    """Return the scope that *route* requires; `OPEN` for none."""
    row = _row(method, route)
    return Scope.ADMIN if row is None else TABLE[row]


def changes(method: str, route: str) -> bool:
    """Return True if a request has side effects, like a ping.

    Browsers must not send such requests on behalf of another site.
    """
    if method not in _SAFE or route in _UNSAFE:
        return True
    return required_scope(method, route) in {Scope.PING, Scope.ADMIN}


def _row(method: str, route: str) -> tuple[str, str] | None:
    like = "GET" if method == "HEAD" else method
    keys = ((method, route), (like, route), (ANY, route))
    return next((key for key in keys if key in TABLE), None)
