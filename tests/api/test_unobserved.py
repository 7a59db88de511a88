"""Jobs that were due while the daemon was down, over the API."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.engine.service import Service
from tests.downtimes import after_downtime
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> Service:
    return await after_downtime(store, clock)


async def test_the_api_tells_and_filters(client: Client) -> None:
    async def asked(query: str) -> dict[str, Any]:
        response = await client.get(f"/api/v1/jobs{query}")
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer

    found = (await asked("?state=unobserved"))["jobs"]
    assert [one["name"] for one in found] == ["backup", "report"]
    assert found[0]["unobserved"] == {
        "slots": 2,
        "first": "2026-11-22T02:00:00Z",
        "last": "2026-11-23T02:00:00Z",
        "down_since": None,
        "up_since": "2026-11-23T03:00:00Z",
    }
    assert (found[0]["state"], found[0]["alerts"]) == ("new", [])
    whole = await asked("/backup")
    assert (whole["unobserved_slots"], whole["missed_runs"]) == (2, 0)
    assert whole["after_downtime"] is None
