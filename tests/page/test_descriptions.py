"""What clients say of their jobs, on the pages."""

from __future__ import annotations

import pytest

from afterrun_exporter.config import parse
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.page.conftest import Pages


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> Service:
    """A service that goes by an empty file."""
    service = Service(store, clock, parse("{}").job_config)
    await service.start()
    return service


async def test_the_name_that_a_client_gave_is_shown_and_searched(
    pages: Pages,
) -> None:
    told = {"name": "Nightly <b>Backup"}
    answer = await pages.client.post("/api/v3/checks/", json=told)
    assert answer.status == 201

    for path in ("/jobs/Nightly--b-Backup", "/", "/?q=%3Cb%3Ebackup"):
        assert "Nightly &lt;b&gt;Backup" in await pages.get(path)
    assert "Nightly-" not in await pages.get("/?q=other")


async def test_the_page_says_why_a_job_has_no_schedule(pages: Pages) -> None:
    config = {"schedule": {"type": "crontab", "value": "*/5 * * * * <b>"}}
    told = {"status": "ok", "monitor_config": config}
    answer = await pages.client.post("/api/4/cron/nightly/k", json=told)
    assert answer.status == 202

    page = await pages.get("/jobs/nightly")
    assert "sent settings that cannot be used: schedule: cron exp" in page
    assert "&lt;b&gt;" in page
    assert "the schedule sent by its client cannot be used" in page
