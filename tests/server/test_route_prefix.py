"""Every route works under a prefix as it does without one."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestServer
from pytest_aiohttp.plugin import AiohttpClient
from yarl import URL

from afterrun_exporter.app import WebOptions
from afterrun_exporter.auth.route_prefix import RoutePrefix
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.route_prefix import serve_under
from afterrun_exporter.server.security import SecuritySettings
from tests.core.jobs import BACKUP
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import opened, read
from tests.http import Client, app_of, whole_app
from tests.server.everywhere import body_of, path_of, routes_of
from tests.services import job_config

PREFIX: Final = "/monitoring/afterrun"
#: A link, or the target of a form.
_LINK: Final = re.compile(r"""\b(?:href|src|action)="([^"]*)\"""")


@pytest.fixture
async def stores() -> AsyncIterator[list[MemoryStore]]:
    made: list[MemoryStore] = []
    yield made
    for store in made:
        await store.close()


async def client_of(
    prefix: RoutePrefix,
    stores: list[MemoryStore],
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> Client:
    """Return the client of a daemon under *prefix*, with a job and nothing else."""
    store = MemoryStore()
    stores.append(store)
    service = Service(store, clock, job_config(BACKUP))
    await service.start()
    options = WebOptions(route_prefix=prefix)
    app = whole_app(service, store, clock, SecuritySettings(), options=options)
    client: Client = await aiohttp_client(app)
    assert isinstance(client.server, TestServer)
    assert client.server.runner is not None
    assert client.server.runner.server is not None
    serve_under(client.server.runner.server, prefix)
    return client


async def request(
    client: Client, method: str, path: str, body: str = "", **headers: str
) -> ClientResponse:
    url = URL(f"{client.make_url('/').origin()}{path}", encoded=True)
    return await client.session.request(
        method, url, data=body or None, allow_redirects=False, headers=headers
    )


async def test_every_route_is_answered_alike_and_leads_to_paths_with_the_prefix(
    stores: list[MemoryStore], clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    """Links, redirects, addresses in JSON and in headers lead nowhere else."""
    plain = await client_of(RoutePrefix(), stores, clock, aiohttp_client)
    under = await client_of(RoutePrefix(PREFIX), stores, clock, aiohttp_client)
    either = await client_of(
        RoutePrefix(PREFIX, is_required=False), stores, clock, aiohttp_client
    )
    wrong = []
    number_of_links = 0
    for method, route in sorted(set(routes_of(plain.app))):
        path, body = path_of(route), body_of(route)
        accept = {"Accept": "text/html"}
        expected = await request(plain, method, path, body, **accept)
        found = await request(under, method, PREFIX + path, body, **accept)
        # A proxy removes it from some requests.
        given = "" if method == "GET" else PREFIX
        other = await request(either, method, given + path, body, **accept)
        outside = await request(under, method, path, body, **accept)
        if not expected.status == found.status == other.status:
            wrong.append(f"{method} {route}: {found.status}, not {expected.status}")
        is_home = path == "/" and method in {"GET", "HEAD"}
        if outside.status != (302 if is_home else 404):
            wrong.append(f"{method} {route} without the prefix: {outside.status}")
        for link in await links(found):
            number_of_links += 1
            target = urljoin(str(found.url), link)
            if urlsplit(target).netloc != found.url.authority:
                continue
            if not f"{urlsplit(target).path}/".startswith(f"{PREFIX}/"):
                wrong.append(f"{method} {route} leads to {link}")

    assert wrong == []
    assert number_of_links > 100


async def links(response: ClientResponse) -> list[str]:
    """Return all addresses in a response."""
    text = await response.text()
    found = [response.headers.get("Location", "")]
    found += re.findall(r"<([^>]*)>", response.headers.get("Link", ""))
    if response.content_type == "text/html":
        found += [html.unescape(link) for link in _LINK.findall(text)]
    authority = response.url.authority
    found += re.findall(rf"https?://{re.escape(authority)}[^\s\"'<&\\]*", text)
    return [link for link in found if link and not link.startswith("#")]


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/", 302, f"{PREFIX}/"),
        ("/?state=ok", 302, f"{PREFIX}/?state=ok"),
        (PREFIX, 302, f"{PREFIX}/"),
        (f"{PREFIX}?state=ok", 302, f"{PREFIX}/?state=ok"),
        (f"{PREFIX}/", 200, ""),
        (f"{PREFIX}x/metrics", 404, ""),
        ("/monitoring/metrics", 404, ""),
        (f"{PREFIX}{PREFIX}/metrics", 404, ""),
        ("/metrics", 404, ""),
        ("//", 404, ""),
    ],
)
async def test_the_start_page_is_found_and_nothing_else_is(
    stores: list[MemoryStore],
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    path: str,
    status: int,
    location: str,
) -> None:
    client = await client_of(RoutePrefix(PREFIX), stores, clock, aiohttp_client)

    response = await request(client, "GET", path)

    assert response.status == status
    assert response.headers.get("Location", "") == location


async def test_a_path_without_the_prefix_is_told_the_prefix(
    stores: list[MemoryStore], clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    client = await client_of(RoutePrefix(PREFIX), stores, clock, aiohttp_client)

    outside = await request(client, "POST", "/ping/backup")
    unknown = await request(client, "GET", f"{PREFIX}/nowhere")

    assert (await outside.json(content_type=None))["detail"] == (
        f"no such path '/ping/backup': the paths of this daemon begin with {PREFIX}/ "
        "(--web.route-prefix)"
    )
    assert (await unknown.json(content_type=None))["detail"] == (
        f'no such path "{PREFIX}/nowhere"; jobs report to {PREFIX}/ping/{{job}}'
    )
    assert stores[0].states["backup"].last_ping_at == 0.0


async def test_service_discovery_and_the_api_document_name_the_prefix(
    stores: list[MemoryStore], clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    """Of the request: without one, a proxy has removed it."""
    prefix = RoutePrefix(PREFIX, is_required=False)
    client = await client_of(prefix, stores, clock, aiohttp_client)
    for used in (PREFIX, ""):
        targets = await (await request(client, "GET", f"{used}/-/targets")).json()
        assert targets[0]["labels"]["__metrics_path__"] == f"{used}/metrics"
        document = await request(client, "GET", f"{used}/api/v1/openapi.json")
        servers = (await document.json())["servers"]
        assert servers == [{"url": f"{used}/"}]


@pytest.mark.parametrize(
    ("is_required", "path", "status", "is_fast"),
    [
        (True, f"{PREFIX}/ping/backup", "200 OK", True),
        (True, "/ping/backup", "404 Not Found", False),
        (True, f"{PREFIX}/ping/", "404 Not Found", False),
        (False, f"{PREFIX}/ping/backup", "200 OK", True),
        (False, "/ping/backup", "200 OK", True),
    ],
)
async def test_the_fast_path_knows_the_prefix(
    service: Service,
    clock: ManualClock,
    *,
    is_required: bool,
    path: str,
    status: str,
    is_fast: bool,
) -> None:
    prefix = RoutePrefix(PREFIX, is_required=is_required)
    app = app_of(service, clock, WebOptions(route_prefix=prefix))
    async with opened(service, clock, app=app) as door:
        line, _, _ = await door.answer(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )

    assert line == f"HTTP/1.1 {status}"
    assert (door.ceremonies == []) is is_fast


async def test_an_absolute_target_is_understood(
    service: Service, clock: ManualClock
) -> None:
    """As a proxy sends it."""
    app = app_of(service, clock, WebOptions(route_prefix=RoutePrefix(PREFIX)))
    async with opened(service, clock, app=app) as door:
        reader, writer = await door.connect()
        for path, status in ((f"{PREFIX}/-/healthy?a=b", "200"), ("/-/healthy", "404")):
            writer.write(f"GET http://x{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            line, _, _ = await read(reader)
            assert line.split()[1] == status
        writer.close()
