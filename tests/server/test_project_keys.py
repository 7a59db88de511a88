"""What the keys of projects open, beside tokens and where there are none."""

from __future__ import annotations

from base64 import b64encode

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.cli.web_config import owners
from afterrun_exporter.config import parse
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, locked, token, whole_app

FILE = """
projects:
  web: {ping_key: web-ping-key, api_key: web-api-key}
  db: {ping_key: db-ping-key}
jobs:
  deploy: {project: web}
  vacuum: {project: db}
  loose: {}
"""


@pytest.fixture
async def service(clock: ManualClock) -> Service:
    service = Service(MemoryStore(), clock, parse(FILE).job_config)
    await service.start()
    return service


@pytest.fixture
async def client(
    aiohttp_client: AiohttpClient, service: Service, clock: ManualClock
) -> Client:
    """A client of a daemon that has locks."""
    security = locked(everything=token(Scope.ADMIN), manager=token(Scope.MANAGE))
    security.authenticator.trust_projects(owners(service))
    return await aiohttp_client(whole_app(service, MemoryStore(), clock, security))


async def status(
    client: Client, path: str, bearer: str = "", method: str = "GET"
) -> int:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return (await client.request(method, path, headers=headers)).status


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ping/web-ping-key/deploy", 200),
        ("/ping/web-ping-key/deploy/start", 200),
        ("/p/web-ping-key/deploy?state=run", 200),
        ("/p/web-api-key/deploy?state=run", 200),
        ("/api/42/cron/deploy/web-ping-key/?status=ok", 202),
        # Jobs of others, and of nobody.
        ("/ping/web-ping-key/vacuum", 404),
        ("/p/web-ping-key/vacuum?state=run", 403),
        ("/api/42/cron/loose/web-ping-key/?status=ok", 403),
        ("/ping/no-key-at-all/deploy", 401),
        # A token may stand in the place of a key.
        ("/ping/everything/vacuum", 200),
    ],
)
async def test_a_ping_key_is_for_the_jobs_of_its_project(
    client: Client, path: str, expected: int
) -> None:
    assert await status(client, path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/ping/web-ping-key/fresh",
        "/p/web-ping-key/fresh?state=run",
        "/api/42/cron/fresh/web-ping-key/?status=ok",
    ],
)
async def test_a_job_that_nobody_knows_belongs_to_who_reports_it_first(
    client: Client, service: Service, path: str
) -> None:
    assert await status(client, path) in {200, 202}

    job = service.job("fresh")
    assert job is not None
    assert job.project == "web"
    assert await status(client, "/ping/db-ping-key/fresh") == 404


async def test_a_ping_key_opens_nothing_else(client: Client) -> None:
    for path in ("/metrics", "/api/v1/jobs", "/api/v3/checks/", "/"):
        assert await status(client, path, "web-ping-key") == 403


async def test_an_api_key_opens_the_management_of_its_project(
    client: Client, service: Service
) -> None:
    listed = await client.get("/api/v3/checks/", headers={"X-Api-Key": "web-api-key"})
    (check,) = (await listed.json())["checks"]
    assert check["name"] == "deploy"

    by_bearer = {"Authorization": "Bearer web-api-key"}
    listed = await client.get("/api/v3/checks/", headers=by_bearer)
    assert [one["name"] for one in (await listed.json())["checks"]] == ["deploy"]

    user = b64encode(b"web-api-key:").decode()
    basic = {"Authorization": f"Basic {user}"}
    paused = await client.get("/api/monitors/deploy/pause", headers=basic)
    assert paused.status == 200
    refused = await client.get("/api/monitors/vacuum/pause", headers=basic)
    assert refused.status == 403
    assert (state := service.state("vacuum")) is not None
    assert not state.paused_at


@pytest.mark.parametrize("who", ["everything", "manager"])
async def test_a_token_with_the_scope_manages_every_job(
    client: Client, who: str
) -> None:
    bearer = {"Authorization": f"Bearer {who}"}
    listed = await client.get("/api/v3/checks/", headers=bearer)

    names = [one["name"] for one in (await listed.json())["checks"]]
    assert names == ["deploy", "vacuum", "loose"]


async def test_keys_are_no_locks(
    aiohttp_client: AiohttpClient, service: Service, clock: ManualClock
) -> None:
    """Where nothing else is to be shown, everybody gets in, as the warning says."""
    security = locked()
    security.authenticator.trust_projects(owners(service))
    client = await aiohttp_client(whole_app(service, MemoryStore(), clock, security))

    assert security.authenticator.is_open
    assert await status(client, "/metrics") == 200
    assert await status(client, "/ping/loose", method="POST") == 200
