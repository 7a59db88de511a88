"""A request for every route of the application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from afterrun_exporter.auth import endpoints

UUID: Final = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"

#: What stands for the parts of a path.
PARTS: Final = {
    "event": "success",
    "how": "fail",
    "id": "1",
    "job": "backup",
    "hours": "1",
    "key": "no-token",
    "name": "page.css",
    "number": "1",
    "uuid": UUID,
    "version": "3",
    "project": "42",
    "signal": "0",
    "slash": "",
    "state": "complete",
    "kind": "traces",
    "task": "t1",
}
#: Where it is another one: jobs that are a UUID, and groups of a Pushgateway.
ELSEWHERE: Final = {
    "/{job}{slash}": {"job": UUID},
    "/{job}/{signal}{slash}": {"job": UUID},
    "/ping/{job}{slash}": {"job": UUID},
    "/ping/{job}/{signal}{slash}": {"job": UUID},
    "/metrics/{job}": {"job": "job/backup"},
}
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: A body that names the job, for routes whose path does not.
BODIES: Final = {
    "/ping": '{"job": "backup"}',
    "/runs": '{"job_id": "backup", "status": "ok"}',
    "/events": '{"type": "job.completed", "payload": {"jobId": "backup"}}',
    "/task": '{"id": "t1", "name": "backup", "status": "Success"}',
    "/hooks/task/{event}": '{"id": "t1", "name": "backup"}',
    "/api/{project}/envelope{slash}": (
        '{}\n{"type": "check_in"}\n{"monitor_slug": "backup", "status": "ok"}\n'
    ),
    "/api/{project}/cron/{job}{slash}": '{"status": "ok"}',
    "/metrics/{job}": "rows 1\n",
    "/api/monitors": '{"monitors": [{"type": "job", "key": "backup"}]}',
    "/api/v{version}/checks": '{"name": "backup", "desc": "changed"}',
    "/api/v1/jobs/{job}/receivers": (
        '{"alert_type": "email", "target": "anna@example.com"}'
    ),
}


def routes_of(app: web.Application) -> Iterator[tuple[str, str]]:
    """Yield method and route of all that the router knows."""
    for route in app.router.routes():
        assert route.resource is not None
        methods = METHODS if route.method == "*" else (route.method,)
        for method in methods:
            yield method, route.resource.canonical


def listed(route: str) -> str:
    return endpoints.TELEMETRY if route == "/metrics" else route


def path_of(route: str) -> str:
    parts = {**PARTS, **ELSEWHERE.get(route, {})}
    return re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], route)


def body_of(route: str) -> str:
    found = [body for known, body in BODIES.items() if route.startswith(known)]
    return found[-1] if found else ""
