"""The page at ``/``: what is broken, then every job, found again by its address."""

from __future__ import annotations

import re
from html import unescape

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.app import WebOptions
from afterrun_exporter.core.model import Job, Outcome, Run
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.overview_rows import MOST
from afterrun_exporter.page.query import PER_PAGE
from afterrun_exporter.storage.store import Ended
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, behind_a_proxy, whole_app
from tests.page.conftest import Pages
from tests.services import job_config


def text_of(page: str) -> str:
    """Return what a reader of *page* sees, blanks made equal."""
    return words_of(page.partition("<main")[2])


def words_of(part: str) -> str:
    """Return what a reader of a *part* of a page sees, blanks made equal."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", part)).split())


def names_in(page: str) -> list[str]:
    """Return the jobs of the list, in order."""
    return re.findall(
        r'<th role="rowheader"[^>]*><div class="name"><a [^>]*>([^<]+)</a>', page
    )


async def test_a_broken_job_and_its_reason_come_first(
    pages: Pages, service: Service
) -> None:
    await service.record(ping("21 12:00", metrics={"rows": 0.0, "size": 9999.0}))
    page = await pages.get("/")
    told = text_of(page)

    assert "<title>1 job is broken" in page
    assert told.index("1 job is broken") < told.index("rows 0 expected > 0")
    assert told.index("rows 0 expected > 0") < told.index("Search")
    assert "violated just now , since Sat 21 Nov 12:00 UTC" in told


async def test_the_runbook_is_one_click_away(pages: Pages, service: Service) -> None:
    url = "https://wiki.example/backup?a=1&b=2"
    await service.reconfigure(job_config(replace(BACKUP, runbook_url=url)))
    await service.record(ping("21 12:00", outcome=Outcome.FAIL))

    assert 'href="https://wiki.example/backup?a=1&amp;b=2"' in await pages.get("/")


async def test_a_page_without_trouble_is_calm(pages: Pages, service: Service) -> None:
    await service.record(ping("21 12:00"))
    told = text_of(await pages.get("/"))

    assert "Nothing is broken The only job is as expected" in told


async def test_without_jobs_it_says_how_to_begin(
    pages: Pages, service: Service
) -> None:
    await service.reconfigure(job_config())
    page = await pages.get("/")

    assert "No job has reported yet" in page
    assert f"http://127.0.0.1:{pages.client.port}/ping/my-job" in unescape(page)
    assert "<table" not in page


async def test_a_job_is_told_with_its_last_run_its_next_and_its_past(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    zoned = replace(BACKUP, schedule=parse_cron("0 2 * * *", "Europe/Riga"))
    await service.reconfigure(job_config(zoned))
    await service.record(ping("21 10:00"))
    await service.record(ping("21 11:00", outcome=Outcome.PARTIAL))
    clock.show(at("21 12:00"))
    told = text_of(await pages.get("/"))

    assert "failing every day at 02:00 1h ago partial" in told
    assert "Sun 22 Nov 02:00 EET last 2 runs" in told
    assert "last 2 runs: 1 ok, 1 partial; the newest partial" in told


@pytest.fixture
async def many(service: Service) -> Service:
    """Ninety jobs, of which thirty belong to a team, and one fails."""
    jobs = [
        Job(
            name=f"job-{n:02}",
            labels=(("team", "data" if n % 3 else "ops"),),
            project="p1" if n < 5 else "",
            tags=("even",) if n % 2 == 0 else (),
        )
        for n in range(90)
    ]
    await service.reconfigure(job_config(*jobs))
    await service.record(replace(ping("21 12:00", outcome=Outcome.FAIL), job="job-07"))
    return service


@pytest.mark.usefixtures("many")
class TestTheList:
    async def test_is_in_order_and_paged(self, pages: Pages) -> None:
        first, second = await pages.get("/"), await pages.get("/?page=2")

        assert names_in(first) == [f"job-{n:02}" for n in range(PER_PAGE)]
        assert names_in(second) == [f"job-{n:02}" for n in range(PER_PAGE, 90)]
        assert "1 to 50 of 90" in first
        assert 'href="./?page=2" rel="next"' in first
        assert 'rel="next"' not in second

    async def test_shows_the_last_page_where_a_later_one_is_asked_for(
        self, pages: Pages
    ) -> None:
        assert "51 to 90 of 90" in await pages.get("/?page=99")

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("q=job-1", [f"job-{n}" for n in range(10, 20)]),
            ("state=broken", ["job-07"]),
            ("state=failing", ["job-07"]),
            ("project=p1&tag=even", ["job-00", "job-02", "job-04"]),
            ("label=team%3Dops&q=job-0", ["job-00", "job-03", "job-06", "job-09"]),
            ("label=team%3Aops&label=&q=job-00", ["job-00"]),
        ],
    )
    async def test_is_narrowed_by_its_address(
        self, pages: Pages, query: str, names: list[str]
    ) -> None:
        page = await pages.get(f"/?{query}")

        assert names_in(page) == names
        assert f"of {len(names)} that match, of 90" in page

    async def test_keeps_what_was_asked_in_the_form(self, pages: Pages) -> None:
        page = await pages.get(
            "/?q=%22job%22&state=new&label=team%3Dops&tag=gone&tag=even"
        )

        assert 'value="&#34;job&#34;"' in page
        assert '<option value="new" selected>' in page
        assert '<option value="team=ops" selected>team=ops (30)' in page
        assert '<option value="gone" selected>gone (0)' in page
        assert '<option value="even" selected>even (45)' in page
        assert page.count('name="tag"') == 2

    async def test_says_so_when_nothing_matches(self, pages: Pages) -> None:
        page = await pages.get("/?q=nothing-like-it")

        assert "No job matches." in page
        assert names_in(page) == []

    async def test_is_reached_while_something_is_broken(self, pages: Pages) -> None:
        """Who filters wants the list; what is broken is told in one line."""
        page = await pages.get("/?tag=even")

        assert "1 job is broken" in page
        assert 'id="broken-job-07"' not in page

    async def test_refuses_what_it_does_not_know(self, pages: Pages) -> None:
        page = await pages.get("/?state=borken", status=400)

        assert "Unknown state &#39;borken&#39;; did you mean &#39;broken&#39;?" in page


async def test_an_outage_is_told_by_numbers_and_the_worst(
    pages: Pages, service: Service
) -> None:
    """Each job has a reason of its own."""
    jobs = [Job(name=f"job-{n:03}", severity="critical" if n == 77 else "warning")
            for n in range(300)]  # fmt: skip
    await service.reconfigure(job_config(*jobs))
    report = ping("21 12:00", outcome=Outcome.FAIL)
    await service.record_all(
        [
            replace(
                report,
                job=job.name,
                message=f"no table {'abcdefghijklmnopqrst'[number % 20]}{'xyzuvwklmnopqrs'[number // 20]}",
            )
            for number, job in enumerate(jobs)
        ]
    )
    page = await pages.get("/")

    assert "300 jobs are broken" in page
    assert re.search(r'href="\./\?state=failing"[^>]*><b>300</b> failing', page)
    assert page.count('class="trouble"') == MOST
    assert page.index('id="broken-job-077"') < page.index('id="broken-job-000"')
    assert f"{300 - MOST} more reasons are not shown here" in page


class BrokenStore(MemoryStore):
    """A store whose history cannot be read."""

    async def runs(self, *_: object, **__: object) -> list[Run]:
        raise OSError("disk I/O error")

    async def endings(self, *_: object, **__: object) -> dict[str, list[Ended]]:
        raise OSError("disk I/O error")

    async def last_judged(self, *_: object, **__: object) -> dict[str, Run]:
        raise OSError("disk I/O error")


class TestWithADatabaseThatCannotBeRead:
    @pytest.fixture
    def store(self) -> MemoryStore:
        return BrokenStore()

    async def test_what_is_broken_is_told_all_the_same(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(ping("21 12:00", outcome=Outcome.FAIL))
        overview, job = await pages.get("/"), await pages.get("/jobs/backup")

        for page in (overview, job):
            assert "The database cannot be read" in page
            assert "The last run ended with fail." in page
            assert "disk I/O error" not in page


class TestBehindAProxy:
    @pytest.fixture
    def options(self) -> WebOptions:
        return WebOptions(external_url="https://example.org/afterrun/")

    async def test_everything_stands_below_its_path(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(ping("21 12:00", outcome=Outcome.FAIL))
        overview, job = await pages.get("/"), await pages.get("/jobs/backup")
        links = re.findall(r'(?:href|src|action)="([^"#]+)"', overview + job)

        assert all(link.startswith("/afterrun/") for link in links)
        assert "https://example.org/afterrun/ping/backup" in job


async def test_links_are_relative_where_nobody_says_where_it_stands(
    pages: Pages,
) -> None:
    overview, job = await pages.get("/"), await pages.get("/jobs/backup")

    assert 'href="./jobs/backup"' in overview
    assert 'href="../static/page.css?v=' in job
    assert not re.search(r'(?:href|src|action)="/', overview + job)


async def test_a_host_that_is_none_is_not_pasted(
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> None:
    client: Client = await aiohttp_client(
        whole_app(service, store, clock, behind_a_proxy())
    )
    answer = await client.get("/jobs/backup", headers={"Host": "$(reboot)"})

    assert "http://localhost:10707/ping/backup" in await answer.text()
    assert "reboot" not in await answer.text()


async def test_what_pages_need_is_there_and_may_be_kept(
    pages: Pages, context: Context
) -> None:
    page = await pages.get("/")
    found = re.findall(r'(?:href|src)="\./(static/[^"]+)"', page)

    assert len(found) == 3
    for where in found:
        answer = await pages.client.get(f"/{where}")
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert (await pages.client.get("/static/secrets")).status == 404
    assert context.site.version in page


async def test_a_page_lets_nothing_be_loaded_or_run_from_elsewhere(
    client: Client,
) -> None:
    answer = await client.get("/jobs/backup")
    page = await answer.text()

    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    # What such a policy forbids would silently not work.
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src)", page)
