"""The list of jobs can be sorted by what somebody looks for."""

from __future__ import annotations

import re

import pytest

from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.core.jobs import ping
from tests.page.conftest import Pages
from tests.page.test_overview_rows import names_in
from tests.services import job_config


@pytest.fixture
async def jobs(service: Service) -> None:
    """Three jobs with a past, and one that has never run."""
    await service.reconfigure(
        job_config(
            Job(name="a", schedule=Every(7 * 3600)),
            Job(name="b", severity="critical"),
            Job(name="c", schedule=Every(3600)),
            Job(name="d"),
        )
    )
    for when, name, took, outcome in (
        ("21 10:00", "a", 30.0, Outcome.OK),
        ("21 09:00", "b", 20.0, Outcome.OK),
        ("21 11:00", "b", 10.0, Outcome.FAIL),
        ("21 11:58", "c", 50.0, Outcome.OK),
    ):
        report = ping(when, outcome=outcome, duration=took)
        await service.record(replace(report, job=name))


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", "abcd"),
        ("last-run", "cbad"),
        ("-last-run", "abcd"),
        ("last-ok", "bacd"),
        ("-last-ok", "cabd"),
        ("duration", "cabd"),
        ("-duration", "bacd"),
        ("due", "cabd"),
        ("-due", "acbd"),
        ("state", "bacd"),
    ],
)
async def test_jobs_are_in_the_order_of_the_address(
    pages: Pages, sort: str, names: str
) -> None:
    """Those without a value come last, in either direction."""
    assert "".join(names_in(await pages.get(f"/?sort={sort}"))) == names


@pytest.mark.usefixtures("jobs")
async def test_a_column_is_sorted_by_a_click_and_reversed_by_another(
    pages: Pages,
) -> None:
    page = await pages.get("/?sort=duration&q=a")

    assert 'aria-sort="descending"><a href="./?q=a&amp;sort=-duration"' in page
    assert re.search(r'class="k-due"><a href="\./\?q=a&amp;sort=due"', page)
    assert '<input type="hidden" name="sort" value="duration">' in page
    assert 'aria-sort="ascending"' in await pages.get("/?sort=-duration")


@pytest.mark.usefixtures("jobs")
async def test_filters_and_an_order_go_together(pages: Pages) -> None:
    page = await pages.get("/?sort=last-run&state=ok")

    assert names_in(page) == ["c", "a"]
    assert "1 to 2 of 2 that match, of 4" in page


async def test_pages_keep_their_order(pages: Pages, service: Service) -> None:
    jobs = [Job(name=f"job-{n:02}") for n in range(90)]
    await service.reconfigure(job_config(*jobs))
    reports = [
        replace(ping("21 12:00", duration=float(n)), job=job.name)
        for n, job in enumerate(jobs)
    ]
    await service.record_all(reports)
    page = await pages.get("/?sort=duration&page=2")

    assert names_in(page) == [f"job-{n:02}" for n in range(39, -1, -1)]
    assert 'href="./?sort=duration" rel="prev"' in page
