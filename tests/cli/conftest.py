"""Commands that ask a daemon, and the daemon that they ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import structlog
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api.routes import routes
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import app_of


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that logs sets that up for the whole process."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


@pytest.fixture(autouse=True)
def _at_the_same_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup lowers the priority of its process: here, of all tests that follow."""
    monkeypatch.setattr("os.nice", lambda _: 0)


#: A command that asks the daemon of the test.
Ask = Callable[..., Awaitable[Result]]


@pytest.fixture
async def server(
    service: Service, store: MemoryStore, clock: ManualClock
) -> AsyncIterator[TestServer]:
    """A daemon that watches the backup."""
    api = routes(service, store, Receivers(store, reload_alertmanager), clock)
    running = TestServer(app_of(service, clock, more=api))
    await running.start_server()
    yield running
    await running.close()


@pytest.fixture
def ask(server: TestServer) -> Ask:
    """A way to run a command while the daemon answers it."""

    async def run(*arguments: str) -> Result:
        given = [*arguments, "--url", str(server.make_url(""))]
        return await asyncio.to_thread(CliRunner().invoke, afterrun, given)

    return run
