"""Jobs that were due while the daemon was down, on the pages."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Kind
from afterrun_exporter.engine.service import Service
from tests.core.jobs import at, ping
from tests.downtimes import after_downtime, job, restarted
from tests.fakes import ManualClock, MemoryStore
from tests.page.conftest import Pages
from tests.page.test_overview_rows import names_in, text_of
from tests.services import job_config


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> Service:
    return await after_downtime(store, clock)


async def test_the_overview_says_how_many_and_lists_them(
    pages: Pages, service: Service
) -> None:
    told = text_of(await pages.get("/"))
    assert (
        "Nothing is broken 2 jobs were due while AfterRun was down; the next run of "
        "each decides."
    ) in told
    assert "as expected" not in told
    assert '?state=unobserved"' in await pages.get("/")

    assert names_in(await pages.get("/?state=unobserved")) == ["backup", "report"]

    await service.record(ping("23 03:03"))
    assert "1 job was due while AfterRun was down" in text_of(await pages.get("/"))
    await service.record(ping("23 03:03", job="report"))
    assert "was down" not in text_of(await pages.get("/"))


async def test_the_page_of_a_job_says_which_slots(pages: Pages) -> None:
    told = text_of(await pages.get("/jobs/backup"))

    assert (
        "Due 2 times, from Sun 22 Nov 02:00 UTC to Mon 23 Nov 02:00 UTC , while "
        "AfterRun was down until Mon 23 Nov 03:00 UTC : it is not known whether it "
        "ran. The next run decides, due in 22h57m ."
    ) in told
    assert "2 slots unobserved" in told
    assert "AfterRun was down" not in text_of(await pages.get("/jobs/weekly"))


async def test_an_open_run_had_to_end_in_it(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    await service.reconfigure(job_config(job("backup", max_runtime=3600.0)))
    start = ping("23 03:03", Kind.START, started_at=at("23 01:00"))
    await service.record(start)
    restarted_service = await restarted(service, clock, "23 03:03:30")
    service.decisions.settings = restarted_service.settings

    told = text_of(await pages.get("/jobs/backup"))

    assert "was due to finish 1h3m ago , while AfterRun was down" in told
