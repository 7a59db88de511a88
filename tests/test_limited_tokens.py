"""Who may report some jobs changes nothing of the others, whatever the dialect."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import pytest
from _pytest.mark import ParameterSet
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.api.openapi import EVERY as EVERY_OPERATION
from afterrun_exporter.api.openapi import AnyOperation
from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.cli.web_config import owners
from afterrun_exporter.config import parse
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.codec import encode_state
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, locked, token, whole_app

UUID: Final = "6c6eb1c4-6b0f-4d63-9d6e-31ba0c2c1a3a"
FILE: Final = f"""
projects:
  web: {{ping_key: web-ping-key}}
  db: {{ping_key: db-ping-key}}
jobs:
  other: {{project: db, export_as: original, ping_uuid: {UUID}, every: 1h}}
  mine-1: {{project: web}}
"""


class Request(NamedTuple):
    """A request about the job `other`."""

    method: str
    path: str
    body: Any = None
    #: False where it is accepted and ignored, whoever sends it.
    matters: bool = True
    #: Whether it is answered with 200 and what became of each report in it.
    is_batch: bool = False


CHECK_IN: Final = {
    "check_in_id": "0" * 32,
    "monitor_slug": "other",
    "status": "error",
    "monitor_config": {"schedule": {"type": "interval", "value": 2, "unit": "hour"}},
}
ENVELOPE: Final = b'{}\n{"type":"check_in"}\n' + json.dumps(CHECK_IN).encode()
TASK: Final = {"id": "t2", "name": "other", "status": "Failure", "kind": "k"}
FAIL: Final = {"status": "fail"}
CRON: Final = "/api/42/cron/other"

#: By the route of the table that it takes.
REQUESTS: Final[dict[str, list[Request]]] = {
    "/ping": [Request("POST", "/ping", [{"job": "other", **FAIL}], is_batch=True)],
    "/ping/{job}": [
        Request("POST", "/ping/other", FAIL),
        Request("POST", "/ping/other", b"\xff{"),
        Request("GET", "/ping/other"),
    ],
    "/ping/{job}{slash}": [Request("POST", f"/ping/{UUID}")],
    "/ping/{job}/{signal}{slash}": [Request("POST", "/ping/other/fail", b"words")],
    "/{job}{slash}": [Request("GET", f"/{UUID}?create=1")],
    "/{job}/{signal}{slash}": [Request("POST", f"/{UUID}/fail")],
    "/ping/{key}/{job}{slash}": [Request("POST", "/ping/KEY/other?create=1")],
    "/ping/{key}/{job}/{signal}{slash}": [Request("POST", "/ping/KEY/other/fail")],
    "/p/{key}/{job}{slash}": [Request("GET", "/p/KEY/other?state=fail")],
    "/p/{key}/{job}/{state}{slash}": [Request("GET", "/p/KEY/other/fail")],
    "/api/push/{job}{slash}": [Request("GET", "/api/push/other?status=down")],
    "/snitch/{job}{slash}": [Request("GET", "/snitch/other?s=1")],
    "/api/v1/heartbeat/{job}{slash}": [Request("GET", "/api/v1/heartbeat/other")],
    "/api/v1/heartbeat/{job}/{how}{slash}": [
        Request("POST", "/api/v1/heartbeat/other/fail", b"words")
    ],
    "/metrics/{job}": [
        Request("PUT", "/metrics/job/other", b"rows 7\n"),
        Request("POST", "/metrics/job/other", b"size 7\n"),
        Request("PUT", "/metrics/job/other", b"rows{"),
        Request("POST", "/metrics/job@base64/b3RoZXI", b"size 7\n"),
        Request("DELETE", "/metrics/job/other"),
    ],
    "/api/v1/status": [Request("GET", "/api/v1/status", matters=False)],
    "/api/{project}/cron/{job}{slash}": [
        Request("POST", CRON, {"status": "error"}),
        Request("GET", f"{CRON}/?status=error"),
    ],
    "/api/{project}/cron/{job}/{key}{slash}": [
        Request("GET", f"{CRON}/KEY?status=error"),
        Request("POST", f"{CRON}/KEY/", {**CHECK_IN, "status": "ok"}),
    ],
    "/api/{project}/envelope{slash}": [
        Request("POST", "/api/42/envelope", ENVELOPE),
        Request("POST", "/api/42/envelope/", ENVELOPE),
    ],
    "/runs": [Request("POST", "/runs", {"job_id": "other", "status": "error"})],
    "/events": [
        Request(
            "POST",
            "/events",
            {"type": "job.failed", "payload": {"jobId": "other", "executionId": "e"}},
        )
    ],
    "/task": [
        Request("POST", "/task", TASK),
        Request("PUT", "/task", [{"task_id": "t1", "new_failures": 3}]),
    ],
    "/task/{task}": [
        Request("PATCH", "/task/t1", {"status": "Failure"}),
        Request("DELETE", "/task/t1"),
    ],
    "/task/pause/{task}": [Request("PATCH", "/task/pause/t1", {})],
    "/hooks/task/{event}": [Request("POST", "/hooks/task/failure", TASK)],
    **{
        route: [Request("POST", path, b"{}", matters=False)]
        for route, path in {
            "/api/store{slash}": "/api/store/",
            "/api/{project}/store{slash}": "/api/42/store/",
            "/api/{project}/minidump{slash}": "/api/42/minidump/",
            "/api/{project}/unreal/{key}{slash}": "/api/42/unreal/KEY/",
            "/api/{project}/playstation{slash}": "/api/42/playstation/",
            "/api/{project}/security{slash}": "/api/42/security/",
            "/api/{project}/csp-report{slash}": "/api/42/csp-report/",
            "/api/{project}/nel{slash}": "/api/42/nel/",
            "/api/{project}/events/{event}/attachments{slash}": (
                "/api/42/events/1/attachments/"
            ),
            "/api/{project}/integration/otlp/v1/{kind}{slash}": (
                "/api/42/integration/otlp/v1/traces/"
            ),
        }.items()
    },
}
ALL: Final = [request for requests in REQUESTS.values() for request in requests]


def named(requests: list[Request]) -> list[ParameterSet]:
    """Return *requests* as parameters, each by what it sends."""
    return [
        pytest.param(one, id=f"{one.method} {one.path} {str(one.body)[:20]}")
        for one in requests
    ]


#: A token for the jobs of one's own, and the key of another project.
LIMITED: Final = ("mine", "web-ping-key")
#: What shows all that there is to see.
PAGES: Final = (
    "/",
    "/jobs/other",
    "/metrics",
    "/metrics/pushed",
    "/api/v1/jobs",
    "/api/v1/jobs/other",
    "/api/v1/jobs/other/runs",
    "/api/v1/jobs/other/alerts",
    "/api/v1/alerts",
    "/api/v1/receivers",
)


class Daemon(NamedTuple):
    """A locked daemon with a job that some may not report."""

    client: Client
    service: Service
    store: MemoryStore

    async def send(self, request: Request, caller: str) -> int:
        """Return the status of the answer to *request* of *caller*."""
        headers = {"Authorization": f"Bearer {caller}", "Host": "localhost"}
        path = request.path.replace("KEY", caller)
        told: dict[str, Any] = {}
        if request.body is not None:
            is_raw = isinstance(request.body, bytes)
            told["data" if is_raw else "json"] = request.body
        answer = await self.client.request(
            request.method, path, headers=headers, **told
        )
        text = await answer.text()
        if caller in LIMITED and "t1" in f"{request.path}{request.body}":
            # Who knows the id of a task is not told of its job.
            assert "other" not in text
        return answer.status

    async def everything(self) -> dict[str, Any]:
        """Return all that can be seen, and what is stored of the job."""
        found: dict[str, Any] = {}
        for path in PAGES:
            answer = await self.client.get(
                path, headers={"Authorization": "Bearer everything"}
            )
            assert answer.status == 200
            found[path] = [
                line
                for line in (await answer.text()).splitlines()
                # How the daemon itself is doing: it counts what it refuses.
                if path != "/metrics" or "_job" in line
            ]
        state = self.service.state("other")
        assert state is not None
        found["state"] = encode_state(state)
        found["runs"] = [*await self.store.runs("other", 99)]
        found["jobs"] = sorted(self.service.names)
        return found


@pytest.fixture
async def daemon(
    aiohttp_client: AiohttpClient, store: MemoryStore, clock: ManualClock
) -> Daemon:
    service = Service(store, clock, parse(FILE).job_config)
    await service.start()
    pushed = PushedMetrics(store, service, clock)
    await pushed.refresh()
    security = locked(
        everything=token(Scope.ADMIN),
        mine=token(Scope.PING, jobs="mine-.*"),
        **{scope.value: token(scope) for scope in Scope},
    )
    security.authenticator.trust_projects(owners(service))
    app = whole_app(service, store, clock, security, pushed=pushed)
    daemon = Daemon(await aiohttp_client(app), service, store)
    for known in (
        Request("PUT", "/metrics/job/other", b"rows 1\n"),
        Request("POST", "/ping/other", {"status": "start", "run_id": "open"}),
        Request("POST", "/task", {**TASK, "id": "t1", "status": "Running"}),
    ):
        assert await daemon.send(known, "everything") == 200
    clock.show(clock.now() + 60)
    return daemon


def test_every_route_that_takes_reports_is_tried() -> None:
    wanting = {
        route for (_, route), scope in endpoints.TABLE.items() if scope is Scope.PING
    }

    assert REQUESTS.keys() == wanting


@pytest.mark.thorough
@pytest.mark.parametrize("caller", LIMITED)
@pytest.mark.parametrize("request_", named(ALL))
async def test_nothing_that_can_be_seen_changes(
    daemon: Daemon, request_: Request, caller: str
) -> None:
    before = await daemon.everything()

    status = await daemon.send(request_, caller)

    assert await daemon.everything() == before
    if request_.matters and not request_.is_batch:
        assert 400 <= status < 500


@pytest.mark.thorough
@pytest.mark.parametrize("request_", named([one for one in ALL if one.matters]))
async def test_each_of_these_requests_changes_something_for_who_may(
    daemon: Daemon, request_: Request
) -> None:
    before = await daemon.everything()

    caller = "db-ping-key" if "KEY" in request_.path else "everything"
    # An unreadable report is refused, and recorded as one.
    assert await daemon.send(request_, caller) in {200, 201, 202, 400}

    assert await daemon.everything() != before


@pytest.mark.parametrize("operation", EVERY_OPERATION, ids=lambda one: one.name)
async def test_an_operation_wants_the_scope_that_its_document_says(
    daemon: Daemon, operation: AnyOperation
) -> None:
    path = re.sub(r"{\w+}", "1", operation.path)
    method = operation.method
    statuses = {
        scope: (
            await daemon.client.request(
                method, path, headers={"Authorization": f"Bearer {scope.value}"}
            )
        ).status
        for scope in Scope
    }

    enough = {operation.scope, Scope.ADMIN}
    assert {scope for scope, status in statuses.items() if status != 403} == enough
    assert 401 not in statuses.values()
