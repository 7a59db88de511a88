"""The page of the newest runs of all jobs."""

from __future__ import annotations

import re

import pytest

from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.page import job_page, runs_page
from afterrun_exporter.page.runs_page import PER_PAGE
from tests.copies import replace
from tests.core.jobs import at, ping
from tests.fakes import ManualClock, MemoryStore
from tests.page.conftest import Pages
from tests.page.test_overview_rows import text_of
from tests.services import job_config


async def test_runs_are_listed_with_what_a_reader_needs_of_each(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    failed = ping(
        "21 11:00",
        outcome=Outcome.FAIL,
        message="disk full",
        exit_code=137,
        duration=418.0,
        metadata='{"host": "db-1"}',
    )
    await service.record(failed)
    await service.record(ping("21 11:30", metrics={"rows": 7.0, "size": 12.0}))
    clock.show(at("21 12:00"))
    page = await pages.get("/runs")

    told = text_of(page)
    violated, _, then = told.partition("backup fail")
    assert re.search(
        r"backup violated Sat 21 Nov 11:30 UTC \W+ size 12 B, expected > 1 KiB",
        violated,
    )
    assert then.strip().startswith(
        "Sat 21 Nov 11:00 UTC 6m58s db-1 "
        "137 (ended by SIGKILL, often out of memory) disk full"
    )
    assert 'href="./jobs/backup"' in page
    assert '<a href="./runs" aria-current="page">Runs</a>' in page


async def test_an_attempt_is_one_and_a_long_message_is_cut(
    pages: Pages, service: Service
) -> None:
    attempt = ping("21 11:00", outcome=Outcome.FAIL, attempt=1, max_attempts=3)
    await service.record(replace(attempt, message="x" * 5000))

    told = text_of(await pages.get("/runs"))
    assert "backup retrying" in told
    assert re.search(r"attempt 1 of 3 ended with fail: x{100,200}…", told)


async def test_a_job_that_was_removed_keeps_its_runs(
    pages: Pages, service: Service
) -> None:
    await service.record(ping("21 11:00", outcome=Outcome.FAIL))
    await service.reconfigure(job_config(Job(name="another")))

    page = await pages.get("/runs")
    assert "backup removed fail" in text_of(page)
    assert "jobs/backup" not in page


async def test_without_runs_the_page_tells_so(pages: Pages) -> None:
    assert "No runs match." in await pages.get("/runs?job=nosuchjob")


@pytest.fixture
async def many(service: Service, clock: ManualClock) -> None:
    """More runs than a page has, one a minute, of two jobs; every tenth fails."""
    await service.reconfigure(job_config(Job(name="even"), Job(name="odd")))
    for n in range(PER_PAGE + 20):
        outcome = Outcome.OK if n % 10 else Outcome.FAIL
        report = ping(
            f"21 0{n // 60}:{n % 60:02}", outcome=outcome, message=f"run {n}."
        )
        await service.record(replace(report, job="odd" if n % 2 else "even"))
    clock.show(at("21 12:00"))


def runs_in(page: str) -> list[int]:
    return [int(one) for one in re.findall(r'class="why">run (\d+)\.', page)]


def following(page: str) -> str:
    (more,) = re.findall(r'href="\./runs(\?[^"]+)" rel="next"', page)
    return f"/runs{more.replace('&amp;', '&')}"


@pytest.mark.usefixtures("many")
class TestTheList:
    async def test_is_paged_newest_first(self, pages: Pages) -> None:
        """By the last run that was shown, so new ones move nothing."""
        first = await pages.get("/runs")
        assert runs_in(first) == list(range(69, 19, -1))
        assert "data-live-every" in first

        second = await pages.get(following(first))
        assert runs_in(second) == list(range(19, -1, -1))
        assert 'rel="next"' not in second
        assert "data-live-every" not in second

    async def test_of_a_job_is_paged_with_its_filters(
        self, pages: Pages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs_page, "PER_PAGE", 4)
        first = await pages.get("/runs?job=even&outcome=fail")
        assert runs_in(first) == [60, 50, 40, 30]

        second = await pages.get(following(first))
        assert runs_in(second) == [20, 10, 0]
        assert 'rel="next"' not in second

    async def test_is_shorter_if_its_texts_are_long(
        self, pages: Pages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs_page, "SIZE", 20)
        first = await pages.get("/runs")
        assert runs_in(first) == [69, 68, 67]
        assert runs_in(await pages.get(following(first))) == [66, 65, 64]

    @pytest.mark.parametrize(
        ("query", "count"),
        [("outcome=fail", 7), ("job=odd", 35), ("job=odd&outcome=fail", 0)],
    )
    async def test_is_narrowed_by_its_address(
        self, pages: Pages, query: str, count: int
    ) -> None:
        assert len(runs_in(await pages.get(f"/runs?{query}"))) == count

    async def test_keeps_what_was_asked_in_the_form(self, pages: Pages) -> None:
        page = await pages.get("/runs?outcome=timeout&job=a%26b")

        assert "<option selected>timeout" in page
        assert 'value="a&amp;b"' in page

    async def test_has_old_runs_only_for_a_job(
        self, pages: Pages, clock: ManualClock
    ) -> None:
        clock.show(at("29 12:00"))

        assert runs_in(await pages.get("/runs")) == []
        assert len(runs_in(await pages.get("/runs?job=odd"))) == 35


@pytest.mark.usefixtures("many")
async def test_the_page_of_a_job_links_to_all_of_its_runs(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it does not list them all itself."""
    link = 'href="../runs?job=odd">All runs of this job'
    assert link not in await pages.get("/jobs/odd")

    monkeypatch.setattr(job_page, "RUNS", 10)
    assert link in await pages.get("/jobs/odd")


async def test_a_database_that_cannot_be_read_is_reported(
    pages: Pages, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise StorageError("disk I/O error")

    monkeypatch.setattr(store, "recorded_runs", broken)
    assert "The database cannot be read" in await pages.get("/runs")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("outcome=fial", "Unknown outcome &#39;fial&#39;; did you mean"),
        ("jobs=x", "Unknown parameter &#39;jobs&#39;; did you mean &#39;job&#39;?"),
        ("job=a&job=b", "Parameter &#39;job&#39; is sent 2 times"),
        ("before=x", "Before &#39;x&#39; is not the id of a run"),
        (f"before={'9' * 30}", "is not the id of a run"),
        (f"job={'x' * 201}", "Parameter &#39;job&#39; has 201 characters"),
    ],
)
async def test_refuses_what_it_does_not_know(
    pages: Pages, query: str, message: str
) -> None:
    assert message in await pages.get(f"/runs?{query}", status=400)
