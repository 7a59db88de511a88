"""Figures of the last 24 hours in the API, on the overview and in `afterrun jobs`."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.core.daily_figures import DAY
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from tests.api.test_jobs import asked
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, whole_app
from tests.services import job_config

START = at("21 12:00")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def service(clock: ManualClock) -> Service:
    service = Service(MemoryStore(), clock, job_config())
    await service.start()
    return service


@pytest.fixture
async def client(
    aiohttp_client: AiohttpClient, service: Service, clock: ManualClock
) -> Client:
    app = whole_app(service, service.store, clock, SecuritySettings())
    client: Client = await aiohttp_client(app)
    return client


async def listed(client: Client) -> str:
    """Return the output of `afterrun jobs`."""
    line = ["jobs", "--url", str(client.make_url(""))]
    result = await asyncio.to_thread(CliRunner().invoke, afterrun, line)
    assert result.exit_code == 0
    return result.output


async def test_the_figures_are_the_same_everywhere(
    client: Client, service: Service
) -> None:
    """Those of all jobs, also where filters narrow the list."""
    for job, status in (("backup", "ok"), ("sync", "fail")):
        report = {"status": status, "duration_seconds": 5}
        await client.post(f"/ping/{job}", json=report)
    await service.count_recent_runs()

    answer = await asked(client, "/api/v1/jobs?q=backup")
    text = "2 runs in the last 24 hours, 50.0% ok, p50 5s, p95 5s, p99 5s."
    assert answer["last_day"] == {
        "runs": 2,
        "ok_ratio": 0.5,
        "p50": 5.0,
        "p95": 5.0,
        "p99": 5.0,
        "text": text,
    }
    assert text in await (await client.get("/")).text()
    assert f"\nAll jobs: {text}\n" in await listed(client)


async def test_figures_that_are_not_counted_yet_are_not_shown(client: Client) -> None:
    await client.post("/ping/backup", json={})

    assert (await asked(client, "/api/v1/jobs"))["last_day"] is None
    assert "last-day" not in await (await client.get("/")).text()
    assert "All jobs" not in await listed(client)


async def test_each_run_is_counted_once_and_for_a_day(
    client: Client, service: Service, clock: ManualClock
) -> None:
    runs = []
    for hours in (0, 12, 12, 13):
        clock.show(clock.now() + hours * 3600)
        await client.post("/ping/backup", json={"run_id": str(hours + clock.now())})
        await service.count_recent_runs()
        assert service.recent_figures is not None
        runs.append(service.recent_figures.runs)

    assert clock.now() > START + DAY
    assert runs == [1, 2, 3, 2]
