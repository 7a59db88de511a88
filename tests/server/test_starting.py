"""While the daemon waits for its database it is healthy, and not ready."""

from __future__ import annotations

import aiohttp
import pytest

from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.server.starting import answering_early
from tests.e2e.network import free_port


async def test_only_the_health_is_answered() -> None:
    bind = Address("127.0.0.1", free_port())
    async with aiohttp.ClientSession(bind.url()) as client:
        async with answering_early([bind], SecuritySettings()):
            healthy = await client.get("/-/healthy")
            ready = await client.get("/-/ready")
            refused = [
                await client.post("/ping/backup"),
                await client.get("/metrics"),
                await client.get("/"),
            ]

            assert (healthy.status, ready.status) == (200, 503)
            assert await ready.text() == (
                "AfterRun exporter is not ready: it waits for its database; the log has "
                "the reason.\n"
            )
            for response in refused:
                assert response.status == 503
                assert response.headers["Retry-After"] == "5"
                problem = await response.json(content_type=None)
                assert problem["type"] == "urn:afterrun:problem:starting"
                assert problem["detail"].endswith("nothing was recorded: send it again")

        # Then the daemon can listen there.
        async with answering_early([bind], SecuritySettings()):
            assert (await client.get("/-/healthy")).status == 200


async def test_an_address_in_use_is_refused_with_the_way_out() -> None:
    bind = Address("127.0.0.1", free_port())
    async with answering_early([bind], SecuritySettings()):
        with pytest.raises(ValueError, match="use another port"):
            async with answering_early([bind], SecuritySettings()):
                pass
