"""Nothing is answered from states that may be out of date, by no route."""

from __future__ import annotations

import json
from typing import Final

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.health import READINESS
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.replicas import SoleReplica
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import opened, read
from tests.http import Client, locked, token, whole_app
from tests.server.everywhere import body_of, path_of, routes_of

SHORT: Final = "the database was last read 7 s ago"
REASON: Final = f"{SHORT}: cannot connect to postgresql://a@db/x"

#: The endpoints that answer all the same: they show and change no state.
STATELESS: Final = {
    "DOCUMENT",
    "INDEX",
    "REFERENCE",
    "HEALTHY",
    "QUIT",
    "READY",
    "RELOAD",
    "RUNBOOK",
    "STATIC",
    "TARGETS",
    "ASK_ONE",
    "ASK_MANY",
}


class Replica(SoleReplica):
    """A replica that is cut off from the database, or not."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__()
        self.reason = REASON

    def outdated(self) -> str:
        return self.reason


@pytest.fixture
def replica(store: MemoryStore) -> Replica:
    store.replicas = replica = Replica()
    return replica


@pytest.fixture
def app(
    replica: Replica,
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
) -> web.Application:
    assert replica.reason
    return whole_app(service, store, clock, SecuritySettings())


@pytest.fixture
async def asking(app: web.Application, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(app)


def test_the_endpoints_without_states_are_these() -> None:
    """Whoever adds one decides about it here."""
    stateless = {
        name
        for name, one in vars(endpoints).items()
        if isinstance(one, endpoints.Endpoint) and one.is_stateless
    }

    assert stateless == STATELESS


async def test_every_route_refuses_while_the_states_may_be_outdated(
    app: web.Application, asking: Client, store: MemoryStore
) -> None:
    before = dict(store.states)
    refused = set()
    for method, route in sorted(set(routes_of(app))):
        url = asking.make_url("/").join(URL(path_of(route), encoded=True))
        response = await asking.session.request(
            method, url, data=body_of(route) or None, allow_redirects=False
        )
        text = await response.text()
        path = endpoints.TELEMETRY if route == "/metrics" else route
        if not endpoints.needs_states(method, path):
            assert (response.status != 503) or route == "/-/ready", (method, route)
            continue
        refused.add(path)
        assert response.status == 503, (method, route)
        assert response.headers["Retry-After"] == "5", (method, route)
        assert method == "HEAD" or REASON in text, (method, route)

    named = {
        route
        for one in endpoints.ENDPOINTS
        if not one.is_stateless
        for (_, route), _ in one.rows()
    }
    assert refused == named
    assert store.states == before


async def test_reports_are_to_be_sent_again(asking: Client) -> None:
    response = await asking.post("/ping/backup")

    assert response.status == 503
    assert (await response.json())["detail"] == (
        f"this replica may be out of date: {REASON}; nothing was recorded: send it again"
    )
    assert (await response.json())["type"] == "urn:afterrun:problem:outdated"


async def test_a_page_gives_the_reason(asking: Client) -> None:
    response = await asking.get("/", headers={"Accept": "text/html"})

    assert response.status == 503
    text = await response.text()
    assert f"This replica may be out of date: {REASON}" in text
    assert 'href="./runbook#afterrunexporterdown"' in text


async def test_metrics_are_refused_as_a_whole(asking: Client) -> None:
    """One series of the exporter alone would resolve alerts that last."""
    text = await (await asking.get("/metrics")).text()

    assert "afterrun_build_info" not in text


@pytest.mark.parametrize("front", [True, False])
async def test_reports_on_the_fast_path_are_refused_too(
    replica: Replica, service: Service, clock: ManualClock, front: bool
) -> None:
    """The connection stays there, and the next report is recorded."""
    report = (
        b"POST /ping/backup HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n"
        b'{"status":"ok"}'
    )
    async with opened(service, clock, front=front) as door:
        reader, writer = await door.connect()
        answers = []
        for reason in (REASON, "", REASON):
            replica.reason = reason
            writer.write(report)
            answers.append(await read(reader))
        writer.close()

    assert [status.split()[1] for status, _, _ in answers] == ["503", "200", "503"]
    for _, headers, body in (answers[0], answers[2]):
        assert headers["Retry-After"] == "5"
        assert REASON in json.loads(body)["detail"]
        assert json.loads(body)["detail"].endswith(
            "nothing was recorded: send it again"
        )
    assert (door.ceremonies == []) == front


async def test_it_is_determined_in_the_request(
    asking: Client, replica: Replica
) -> None:
    replica.reason = ""
    assert (await asking.get("/metrics")).status == 200
    assert (await asking.post("/ping/backup")).status == 200

    replica.reason = REASON
    assert (await asking.get("/metrics")).status == 503
    assert (await asking.post("/ping/backup")).status == 503

    replica.reason = ""
    assert (await asking.get("/metrics")).status == 200


async def test_a_replica_that_is_outdated_is_healthy_and_not_ready(
    app: web.Application, asking: Client, replica: Replica
) -> None:
    healthy, ready = [await asking.get(f"/-/{one}") for one in ("healthy", "ready")]

    assert (healthy.status, ready.status) == (200, 503)
    assert await ready.text() == f"AfterRun exporter is not ready: {SHORT}.\n"

    replica.reason = ""
    assert (await asking.get("/-/ready")).status == 200

    app[READINESS].is_stopping = True
    healthy, ready = [await asking.get(f"/-/{one}") for one in ("healthy", "ready")]
    assert (healthy.status, ready.status) == (200, 503)
    assert await ready.text() == "AfterRun exporter is not ready: it is stopping.\n"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer wrong", 401), ("Bearer pinger", 403), ("Bearer reader", 503)],
)
async def test_credentials_are_checked_first(
    replica: Replica,
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    authorization: str,
    status: int,
) -> None:
    """The reason is nothing for strangers."""
    security = locked(pinger=token(Scope.PING), reader=token(Scope.READ))
    asking = await aiohttp_client(whole_app(service, store, clock, security))
    response = await asking.get(
        "/api/v1/jobs", headers={"Authorization": authorization}
    )

    assert response.status == status
    assert (replica.reason in await response.text()) == (status == 503)
