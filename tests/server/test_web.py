from __future__ import annotations

import pytest
from pytest_aiohttp.plugin import AiohttpClient
from structlog.testing import capture_logs

from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ConfigError, Problem
from tests.fakes import ManualClock
from tests.http import Client, app_of


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_a_probe_is_answered(client: Client, path: str) -> None:
    response = await client.get(path)

    assert response.status == 200
    assert (await response.text()).startswith("AfterRun exporter is ")


async def test_a_reload_that_is_refused_says_everything_that_is_wrong(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    async def reload(**_: bool) -> None:
        raise ConfigError(
            "afterrun.yml", [Problem(7, "jobs.b", "two"), Problem(3, "jobs.a", "one")]
        )

    client = await aiohttp_client(app_of(service, clock, reload=reload))
    response = await client.post("/-/reload")

    assert response.status == 500
    assert (await response.json(content_type=None))["detail"] == (
        "afterrun.yml:3: jobs.a: one\nafterrun.yml:7: jobs.b: two"
    )


async def test_an_error_of_ours_is_told_without_its_insides(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    async def reload(**_: bool) -> None:
        raise RuntimeError("password=hunter2")

    client = await aiohttp_client(app_of(service, clock, reload=reload))
    response = await client.post("/-/reload")

    assert response.status == 500
    assert "hunter2" not in await response.text()


async def test_the_same_error_of_ours_is_logged_now_and_then(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    """Each place that it comes from has its own traceback."""

    async def reload(**_: bool) -> None:
        raise RuntimeError("always the same")

    async def other(**_: bool) -> None:
        raise RuntimeError("always the same")

    with capture_logs() as lines:
        for failing, times in ((reload, 25), (other, 1)):
            client = await aiohttp_client(app_of(service, clock, reload=failing))
            for _ in range(times):
                assert (await client.post("/-/reload")).status == 500

    told = [line["times"] for line in lines if line["event"] == "request_failed"]
    assert told == [1, 10, 1]


async def test_a_reload_is_asked_for_with_post(client: Client) -> None:
    """A link that somebody follows must not change anything."""
    assert (await client.get("/-/reload")).status == 405
    assert (await client.post("/-/reload")).status == 200
