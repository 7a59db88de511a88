"""Jobs that were due while the daemon was down, in `afterrun jobs`."""

from __future__ import annotations

import json

import pytest

from afterrun_exporter.engine.service import Service
from tests.cli.test_jobs_runs_alerts import rows
from tests.downtimes import after_downtime
from tests.fakes import ManualClock, MemoryStore

from .conftest import Ask


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> Service:
    return await after_downtime(store, clock)


async def test_they_are_shown_and_listed(ask: Ask) -> None:
    _, *every = rows(await ask("jobs"))
    assert [(name, state) for name, state, *_ in every] == [
        ("backup", "new, unobserved"),
        ("report", "new, unobserved"),
        ("weekly", "new"),
    ]

    found = json.loads((await ask("jobs", "--state", "unobserved", "--json")).stdout)
    assert [job["name"] for job in found["jobs"]] == ["backup", "report"]
