"""What each route wants of whoever asks for it.

One table, and it fails closed: what is not in it wants everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from afterrun_exporter.auth.callers import Scope

#: Of what everybody may ask for.
OPEN: Final = None
#: Stands for the path of the metrics, which an operator may choose.
TELEMETRY: Final = "{telemetry}"
#: Any method that the route takes, where none of its own is named.
ANY: Final = "*"

_PING, _SCRAPE = Scope.PING, Scope.SCRAPE
_READ, _MANAGE, _ADMIN = Scope.READ, Scope.MANAGE, Scope.ADMIN

#: Methods, route, and what it wants. HEAD is what GET is.
ROWS: Final[tuple[tuple[str, str, Scope | None], ...]] = (
    ("GET", "/-/healthy", OPEN),
    ("GET", "/-/ready", OPEN),
    # Browsers ask it before anything else, without a token. It is never a ping.
    ("OPTIONS", "/ping", OPEN),
    ("OPTIONS", "/ping/{job}", OPEN),
    ("OPTIONS", "/ping/{job}{slash}", OPEN),
    ("OPTIONS", "/ping/{job}/{signal}{slash}", OPEN),
    ("OPTIONS", "/{job}{slash}", OPEN),
    ("OPTIONS", "/{job}/{signal}{slash}", OPEN),
    ("OPTIONS", "/ping/{key}/{job}{slash}", OPEN),
    ("OPTIONS", "/ping/{key}/{job}/{signal}{slash}", OPEN),
    # Our own API.
    ("POST", "/ping", _PING),
    ("GET POST", "/ping/{job}", _PING),
    # Healthchecks, and Cronitor where it has the same paths.
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
    # What else is sent to a DSN.
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

#: Methods that change nothing.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: But here they do: this is how clients of another system pause.
_UNSAFE: Final = frozenset(
    {"/api/monitors/{job}/pause", "/api/monitors/{job}/pause/{hours}"}
)


def is_listed(method: str, route: str) -> bool:
    """Return whether the table says what *route* wants of *method*."""
    return _found(method, route) is not None


def wanted(method: str, route: str) -> Scope | None:
    """Return what *route* wants, `OPEN` for nothing."""
    found = _found(method, route)
    return Scope.ADMIN if found is None else TABLE[found]


def changes(method: str, route: str) -> bool:
    """Return whether a request like this changes something; a ping does.

    So a browser must not be made to send it by another site.
    """
    if method not in _SAFE or route in _UNSAFE:
        return True
    return wanted(method, route) in {Scope.PING, Scope.ADMIN}


def _found(method: str, route: str) -> tuple[str, str] | None:
    asked = "GET" if method == "HEAD" else method
    keys = ((method, route), (asked, route), (ANY, route))
    return next((key for key in keys if key in TABLE), None)
