"""The application with the JSON API, on a memory store and a clock turned by hand."""

from __future__ import annotations

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.api.routes import routes
from afterrun_exporter.app import make_app
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.selfmetrics import SelfMetrics
from afterrun_exporter.receivers import Receivers
from afterrun_exporter.service import Service
from afterrun_exporter.testing import ManualClock, MemoryStore
from afterrun_exporter.upkeep import reload_alertmanager
from tests.http import Client, no_reload


@pytest.fixture
def receivers(store: MemoryStore) -> Receivers:
    """No alertmanager.yml is kept, until a test says so."""
    return Receivers(store, reload_alertmanager)


@pytest.fixture
async def client(
    service: Service,
    store: MemoryStore,
    receivers: Receivers,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> Client:
    api = routes(service, store, receivers, clock)
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    app = make_app(service, clock, exposition, no_reload, api=api)
    return await aiohttp_client(app)
