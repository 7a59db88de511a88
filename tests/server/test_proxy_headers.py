"""Requests that come through a proxy: as its client sent them, if it is believed."""

from __future__ import annotations

import pytest
from pytest_aiohttp.plugin import AiohttpClient
from structlog.testing import capture_logs

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.hosts import Hosts
from afterrun_exporter.auth.proxies import Proxies
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from tests.copies import replace
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, locked, token, whole_app

FORWARDED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "afterrun.example",
}


async def behind(
    aiohttp_client: AiohttpClient,
    service: Service,
    clock: ManualClock,
    security: SecuritySettings,
) -> Client:
    return await aiohttp_client(whole_app(service, MemoryStore(), clock, security))


@pytest.mark.parametrize(
    ("trusted", "scheme", "host"),
    [
        (["127.0.0.1"], "https", "afterrun.example"),
        (["10.0.0.0/8"], "http", "daemon:1"),
        ([], "http", "daemon:1"),
    ],
)
async def test_the_daemon_is_where_the_client_says_if_the_proxy_is_believed(
    aiohttp_client: AiohttpClient,
    service: Service,
    clock: ManualClock,
    trusted: list[str],
    scheme: str,
    host: str,
) -> None:
    security = SecuritySettings(proxies=Proxies(trusted), hosts=Hosts(["daemon"]))
    client = await behind(aiohttp_client, service, clock, security)

    headers = {**FORWARDED, "Host": "daemon:1"}
    (target,) = await (await client.get("/-/targets", headers=headers)).json()
    page = await (await client.get("/jobs/backup", headers=headers)).text()

    assert target["targets"] == [host]
    assert target["labels"]["__scheme__"] == scheme
    assert f"{scheme}://{host}/ping/backup" in page


async def test_who_is_refused_is_told_by_their_own_address(
    aiohttp_client: AiohttpClient, service: Service, clock: ManualClock
) -> None:
    """And a browser's own origin is the one that it has asked."""
    security = locked(admin=token(Scope.ADMIN))
    security = replace(security, proxies=Proxies(["127.0.0.1"]))
    client = await behind(aiohttp_client, service, clock, security)

    with capture_logs() as lines:
        await client.get("/metrics", headers=FORWARDED)
    assert [line["sender"] for line in lines] == ["192.0.2.1"]

    ours = {**FORWARDED, "Authorization": "Bearer admin"}
    for origin, status in (
        ("https://afterrun.example", 200),
        ("https://evil.example", 403),
    ):
        response = await client.post("/-/reload", headers={**ours, "Origin": origin})
        assert response.status == status


async def test_an_answer_through_a_proxy_is_the_same(
    aiohttp_client: AiohttpClient, service: Service, clock: ManualClock
) -> None:
    """With the same headers: those of a report are few."""
    security = SecuritySettings(proxies=Proxies(["127.0.0.1"]))
    client = await behind(aiohttp_client, service, clock, security)

    page = await client.get("/", headers=FORWARDED)
    report = await client.get("/ping/backup", headers=FORWARDED)

    assert "X-Content-Type-Options" in page.headers
    assert "Content-Security-Policy" in page.headers
    assert "X-Content-Type-Options" in report.headers
    assert "Content-Security-Policy" not in report.headers
