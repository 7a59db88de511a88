"""The application with its pages, on a memory store and a clock turned by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.app import WebOptions, site_of
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.job_index import Index
from afterrun_exporter.page.routes import routes
from afterrun_exporter.storage.store import Store
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

#: What a browser asks for.
HTML = {"Accept": "text/html,application/xhtml+xml"}


def context_of(
    service: Service, store: Store, clock: ManualClock, options: WebOptions
) -> Context:
    """Return what the pages need, as `serve` puts it together."""
    return Context(
        service=service,
        store=store,
        receivers=Receivers(store, reload_alertmanager),
        job_admin=JobAdmin(service, clock),
        clock=clock,
        site=site_of(options, clock, service),
        index=Index(service),
    )


class Pages:
    """Asks for pages and sends forms, as a browser without JavaScript does."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def get(self, path: str, status: int = 200) -> str:
        """Return the page at *path*."""
        answer = await self.client.get(path, headers=HTML)
        text = await answer.text()
        assert answer.status == status, text
        assert answer.content_type == "text/html"
        return text

    async def token(self) -> str:
        """Return what the forms of a page carry along."""
        text = await self.get("/jobs/backup")
        found = re.search(r'name="token" value="([^"]+)"', text)
        assert found is not None
        return found[1]

    async def send(
        self, path: str, form: Mapping[str, str] | None = None, status: int = 200
    ) -> str:
        """Return the page to which a form leads."""
        told = {**(form or {}), "token": await self.token()}
        answer = await self.client.post(path, data=told, headers=HTML)
        text = await answer.text()
        assert answer.status == status, text
        return text


@pytest.fixture
def options() -> WebOptions:
    return WebOptions()


@pytest.fixture
def context(
    service: Service, store: MemoryStore, clock: ManualClock, options: WebOptions
) -> Context:
    return context_of(service, store, clock, options)


@pytest.fixture
async def client(
    context: Context,
    clock: ManualClock,
    options: WebOptions,
    aiohttp_client: AiohttpClient,
) -> Client:
    app = app_of(context.service, clock, options, more=routes(context))
    return await aiohttp_client(app)


@pytest.fixture
def pages(client: Client) -> Pages:
    return Pages(client)
