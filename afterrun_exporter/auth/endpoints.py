"""All endpoints of the daemon, and the scope that each one requires.

Routes, authorization and the OpenAPI document are made from this table.
A request to anything else requires the scope ADMIN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.core.model import UUID

#: Endpoints that require no scope.
OPEN: Final = None
#: Placeholder for the configurable path of the metrics.
TELEMETRY: Final = "{telemetry}"
#: All methods of a route that have no row of their own.
ANY: Final = hdrs.METH_ANY

_PATTERN: Final = re.compile(r"{(\w+):([^{}]|{[^{}]*})*}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Paths that are requested with the same methods and scope."""

    methods: str
    scope: Scope | None
    #: As in aiohttp: parameters in braces, some with a pattern.
    paths: tuple[str, ...]
    #: True if HEAD is allowed where GET is.
    has_head: bool = True
    #: True if responses do not depend on the states of jobs.
    is_stateless: bool = False

    def to(self, handler: Handler) -> list[web.RouteDef]:
        """Return the routes to *handler*."""
        return [
            web.get(path, handler, allow_head=self.has_head)
            if method == hdrs.METH_GET
            else web.route(method, path, handler)
            for path in self.paths
            for method in self.methods.split()
        ]

    def at(self, path: str) -> Endpoint:
        """Return this endpoint at another *path*."""
        return replace(self, paths=(path,))

    def rows(self) -> Iterator[tuple[tuple[str, str], Scope | None]]:
        """Yield the method and the route of each path, and the scope."""
        for path in self.paths:
            route = _PATTERN.sub(r"{\1}", path)
            for method in self.methods.split():
                yield (method, route), self.scope
                if method == ANY:
                    # Browsers send OPTIONS first, without a token. It is never a ping.
                    yield (hdrs.METH_OPTIONS, route), OPEN


def _at(
    methods: str, scope: Scope | None, *paths: str, has_head: bool = True
) -> Endpoint:
    return Endpoint(methods, scope, paths, has_head)


def _stateless(methods: str, scope: Scope | None, *paths: str) -> Endpoint:
    return Endpoint(methods, scope, paths, is_stateless=True)


_PING, _SCRAPE = Scope.PING, Scope.SCRAPE
_READ, _MANAGE, _ADMIN = Scope.READ, Scope.MANAGE, Scope.ADMIN

_SLASH: Final = "{slash:/?}"
_UUID: Final = f"{{job:{UUID.pattern.replace('a-f', 'a-fA-F')}}}"

HEALTHY: Final = _stateless("GET", OPEN, "/-/healthy")
READY: Final = _stateless("GET", OPEN, "/-/ready")
RELOAD: Final = _stateless("POST PUT", Scope.RELOAD, "/-/reload")
QUIT: Final = _stateless("POST PUT", Scope.ADMIN, "/-/quit")
METRICS: Final = _at("GET", _SCRAPE, TELEMETRY)
#: Pushed metrics with their original names. They are separate, so that they cannot
#: break the scrape that alerts depend on.
PUSHED: Final = _at("GET", _SCRAPE, "/metrics/pushed")
TARGETS: Final = _stateless("GET", _SCRAPE, "/-/targets")

# The native protocol.
PING: Final = _at("GET", _PING, "/ping/{job}")
REPORT: Final = _at("POST", _PING, "/ping/{job}")
REPORT_MANY: Final = _at("POST", _PING, "/ping")
ASK_ONE: Final = _stateless("OPTIONS", OPEN, "/ping/{job}")
ASK_MANY: Final = _stateless("OPTIONS", OPEN, "/ping")

# Healthchecks, and Cronitor on the same paths.
BY_UUID: Final = _at(
    ANY,
    _PING,
    f"/ping/{_UUID}{_SLASH}",
    f"/ping/{_UUID}/{{signal}}{_SLASH}",
    f"/{_UUID}{_SLASH}",
    f"/{_UUID}/{{signal}}{_SLASH}",
)
BY_KEY: Final = _at(ANY, _PING, f"/ping/{{key}}/{{job}}{_SLASH}")
BY_KEY_SIGNAL: Final = _at(ANY, _PING, f"/ping/{{key}}/{{job}}/{{signal}}{_SLASH}")
CRONITOR: Final = _at(
    "GET POST",
    _PING,
    f"/p/{{key}}/{{job}}{_SLASH}",
    f"/p/{{key}}/{{job}}/{{state}}{_SLASH}",
)

# Uptime Kuma, Dead Man's Snitch, Better Stack.
KUMA: Final = _at(
    "GET POST PUT PATCH", _PING, f"/api/push/{{job}}{_SLASH}", has_head=False
)
SNITCH: Final = _at("GET POST", _PING, f"/snitch/{{job}}{_SLASH}", has_head=False)
BETTER_STACK: Final = _at(
    "GET POST",
    _PING,
    f"/api/v1/heartbeat/{{job}}{_SLASH}",
    f"/api/v1/heartbeat/{{job}}/{{how:fail|[0-9]{{1,3}}}}{_SLASH}",
    has_head=False,
)

# Pushgateway.
PUSH: Final = _at("PUT POST", _PING, r"/metrics/{job:job(@base64)?/.*}")
DELETE_PUSHED: Final = _at("DELETE", _PING, *PUSH.paths)
PUSHGATEWAY_STATUS: Final = _at("GET", _PING, "/api/v1/status")

# Sentry: check-ins, and other data that clients send to a DSN.
_DSN: Final = "/api/{project:[0-9]+}"
CHECK_IN: Final = _at(
    "GET POST",
    _PING,
    f"{_DSN}/cron/{{job}}{_SLASH}",
    f"{_DSN}/cron/{{job}}/{{key}}{_SLASH}",
    has_head=False,
)
ENVELOPE: Final = _at("POST", _PING, f"{_DSN}/envelope{_SLASH}")
SENTRY_EVENT: Final = _at("POST", _PING, f"/api/store{_SLASH}", f"{_DSN}/store{_SLASH}")
SENTRY_CRASH: Final = _at(
    "POST",
    _PING,
    f"{_DSN}/minidump{_SLASH}",
    f"{_DSN}/unreal/{{key}}{_SLASH}",
    f"{_DSN}/playstation{_SLASH}",
)
SENTRY_BROWSER_REPORT: Final = _at(
    "POST",
    _PING,
    f"{_DSN}/security{_SLASH}",
    f"{_DSN}/csp-report{_SLASH}",
    f"{_DSN}/nel{_SLASH}",
)
SENTRY_ATTACHMENT: Final = _at(
    "POST", _PING, f"{_DSN}/events/{{event}}/attachments{_SLASH}"
)
SENTRY_OTLP: Final = _at(
    "POST", _PING, f"{_DSN}/integration/otlp/v1/{{kind:traces|logs}}{_SLASH}"
)

# Schedulers and task runners.
RUN_RECORDS: Final = _at("POST", _PING, "/runs")
EVENTS: Final = _at("POST", _PING, "/events")
TASKS: Final = _at("POST", _PING, "/task", "/hooks/task/{event:start|success|failure}")
TASK_COUNTS: Final = _at("PUT", _PING, "/task")
UPDATE_TASK: Final = _at("PATCH", _PING, "/task/{task}")
CANCEL_TASK: Final = _at("DELETE", _PING, "/task/{task}")
PAUSE_TASK: Final = _at("PATCH", _PING, "/task/pause/{task}")

# The management API of Healthchecks.
_API: Final = "/api/v{version:[123]}"
_CHECK: Final = f"{_API}/checks/{{uuid:[0-9a-fA-F-]{{36}}}}"


def _manage(method: str, path: str) -> Endpoint:
    return _at(method, _MANAGE, f"{path}{_SLASH}", has_head=False)


LIST_CHECKS: Final = _manage("GET", f"{_API}/checks")
CREATE_CHECK: Final = _manage("POST", f"{_API}/checks")
GET_CHECK: Final = _manage("GET", _CHECK)
UPDATE_CHECK: Final = _manage("POST", _CHECK)
DELETE_CHECK: Final = _manage("DELETE", _CHECK)
PAUSE_CHECK: Final = _manage("POST", f"{_CHECK}/pause")
RESUME_CHECK: Final = _manage("POST", f"{_CHECK}/resume")
LIST_PINGS: Final = _manage("GET", f"{_CHECK}/pings")
GET_PING_BODY: Final = _manage("GET", f"{_CHECK}/pings/{{number:[0-9]{{1,9}}}}/body")
LIST_FLIPS: Final = _manage("GET", f"{_CHECK}/flips")
LIST_CHANNELS: Final = _manage("GET", f"{_API}/channels")
LIST_BADGES: Final = _manage("GET", f"{_API}/badges")

# The management API of Cronitor.
PUT_MONITORS: Final = _at("PUT", _MANAGE, "/api/monitors")
GET_MONITOR: Final = _at("GET", _MANAGE, "/api/monitors/{job}", has_head=False)
DELETE_MONITOR: Final = _at("DELETE", _MANAGE, "/api/monitors/{job}")
#: Clients pause with GET; HEAD must not pause.
PAUSE_MONITOR: Final = _at(
    "GET",
    _MANAGE,
    "/api/monitors/{job}/pause",
    r"/api/monitors/{job}/pause/{hours:\d{1,9}}",
    has_head=False,
)

# The pages.
OVERVIEW: Final = _at("GET", _READ, "/")
JOB_PAGE: Final = _at("GET", _READ, "/jobs/{job}")
ALERTS_PAGE: Final = _at("GET", _READ, "/alerts")
RUNS_PAGE: Final = _at("GET", _READ, "/runs")
RUNBOOK: Final = _stateless("GET", _READ, "/runbook")
JOB_RUNBOOK: Final = _at("GET", _READ, "/jobs/{job}/runbook")
REPORT_PAGE: Final = _at("GET", _READ, "/report")
STATIC: Final = _stateless("GET", OPEN, "/static/{name}")
PAUSE_FORM: Final = _at("POST", _ADMIN, "/jobs/{job}/pause")
RESUME_FORM: Final = _at("POST", _ADMIN, "/jobs/{job}/resume")
RETIRE_FORM: Final = _at("POST", _ADMIN, "/jobs/{job}/retire")
RECEIVER_FORM: Final = _at("POST", _ADMIN, "/jobs/{job}/receivers")
REMOVE_RECEIVER_FORM: Final = _at("POST", _ADMIN, "/jobs/{job}/receivers/{id}/delete")

# The API.
JOBS: Final = _at("GET", _READ, "/api/v1/jobs")
JOB: Final = _at("GET", _READ, "/api/v1/jobs/{job}")
REMOVE_JOB: Final = _at("DELETE", _ADMIN, "/api/v1/jobs/{job}")
PAUSE: Final = _at("POST", _ADMIN, "/api/v1/jobs/{job}/pause")
RESUME: Final = _at("POST", _ADMIN, "/api/v1/jobs/{job}/resume")
DISABLE: Final = _at("POST", _ADMIN, "/api/v1/jobs/{job}/disable")
ENABLE: Final = _at("POST", _ADMIN, "/api/v1/jobs/{job}/enable")
STATE: Final = _at("GET", _READ, "/api/v1/state")
RUNS: Final = _at("GET", _READ, "/api/v1/jobs/{job}/runs")
ALL_RUNS: Final = _at("GET", _READ, "/api/v1/runs")
OPEN_RUNS: Final = _at("GET", _READ, "/api/v1/runs/open")
BACKTEST: Final = _at("POST", _READ, "/api/v1/jobs/{job}/backtest")
JOB_ALERTS: Final = _at("GET", _READ, "/api/v1/jobs/{job}/alerts")
JOB_RECEIVERS: Final = _at("GET", _READ, "/api/v1/jobs/{job}/receivers")
ADD_RECEIVER: Final = _at("POST", _ADMIN, "/api/v1/jobs/{job}/receivers")
RECEIVERS: Final = _at("GET", _READ, "/api/v1/receivers")
RECEIVER: Final = _at("GET", _READ, "/api/v1/receivers/{id}")
REMOVE_RECEIVER: Final = _at("DELETE", _ADMIN, "/api/v1/receivers/{id}")
ALERTS: Final = _at("GET", _READ, "/api/v1/alerts")
ALERT_STATS: Final = _at("GET", _READ, "/api/v1/alerts/stats")
TEST_ALERT: Final = _at("POST", _ADMIN, "/api/v1/alerts/test")
PERIOD_REPORT: Final = _at("GET", _READ, "/api/v1/report")
CHECK: Final = _at("POST", _ADMIN, "/api/v1/check")
DOCUMENT: Final = _stateless("GET", _READ, "/api/v1/openapi.json")
REFERENCE: Final = _stateless("GET", _READ, "/api/v1/docs")
INDEX: Final = _stateless("GET", _READ, "/api/v1/")
BADGE: Final = _at("GET", _READ, "/badge/{job}.svg")

ENDPOINTS: Final = tuple(
    one for one in tuple(globals().values()) if isinstance(one, Endpoint)
)
TABLE: Final[Mapping[tuple[str, str], Scope | None]] = {
    where: scope for endpoint in ENDPOINTS for where, scope in endpoint.rows()
}

_STATELESS: Final = frozenset(
    where for one in ENDPOINTS if one.is_stateless for where, _ in one.rows()
)

#: Methods without side effects.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Routes on which GET has a side effect.
_UNSAFE: Final = frozenset(route for (_, route), _ in PAUSE_MONITOR.rows())


def is_listed(method: str, route: str) -> bool:
    """Return True if the table has a scope for *method* of *route*."""
    return _row(method, route) is not None


def required_scope(method: str, route: str) -> Scope | None:
    """Return the scope that *route* requires; `OPEN` for none."""
    row = _row(method, route)
    return Scope.ADMIN if row is None else TABLE[row]


def needs_states(method: str, route: str) -> bool:
    """Return True if a response must not be made from outdated states of jobs.

    Unknown paths are answered without them, and so is OPTIONS.
    """
    row = None if method == "OPTIONS" else _row(method, route)
    return row is not None and row not in _STATELESS


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
