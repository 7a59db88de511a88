"""The page of a job, its forms, and the pages of errors."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterrun_exporter.app import WebOptions
from afterrun_exporter.core.model import Dependency, Job, Kind, Outcome
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page import job_rows
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.routes import routes
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.examples import examples
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.page.conftest import HTML, Pages, context_of
from tests.page.test_overview_rows import text_of
from tests.services import job_config
from tests.strategies import NUMBERS, TEXTS

STRAY = replace(ping("21 12:00"), job="stray")


class TestThePage:
    async def test_draws_each_metric_with_its_thresholds(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(
            ping("21 12:00", duration=5.0, metrics={"rows": 0.0, "size": 9999.0})
        )
        page = await pages.get("/jobs/backup")

        for title in ("Duration", "rows", "size"):
            assert f'<svg class="plot" role="img"><title>{title}</title>' in page
        assert page.count('<line class="limit l0"') >= 2
        assert 'href="#mark-bad"' in page

    async def test_tells_a_run_in_detail(self, pages: Pages, service: Service) -> None:
        await service.record(
            ping(
                "21 12:00",
                run_id="r1",
                attempt=2,
                max_attempts=3,
                exit_code=1,
                duration=65.0,
                outcome=Outcome.FAIL,
                message="no space left\non device",
                metadata='{"host": "db1", "n": {"a": 1}}',
                metrics={"rows": 120.0},
            )
        )
        page = await pages.get("/jobs/backup")

        assert '<details id="run-1">' in page
        for told in ("r1", "attempt 2 of 3", "no space left\non device", "db1", "1m5s"):
            assert told in page
        assert "Exit code 1" in text_of(page)

    async def test_tells_what_was_recorded_by_a_clock_that_was_ahead(
        self, pages: Pages, service: Service, clock: ManualClock
    ) -> None:
        """Not that a run ended "in 3 h"."""
        now = clock.now()
        await clock.step(3 * 3600)
        await service.record(ping("21 15:00", outcome=Outcome.FAIL))
        await service.record(ping("21 15:01"))
        await clock.step(now - clock.now())
        await service.sweep()
        page = await pages.get("/jobs/backup")
        told = text_of(page)

        assert "3h1m ahead" in told
        assert "clock was ahead when the run was recorded, by 3h1m or more" in told
        assert "by a clock that was ahead" in told
        assert "in 3h" not in page
        assert "Last run just now" in told

    async def test_shows_a_run_between_two_attempts(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(ping("21 11:00", duration=65.0))
        failed = ping(
            "21 12:00", run_id="r7", outcome=Outcome.FAIL, message="disk full"
        )
        await service.record(replace(failed, attempt=1, max_attempts=3))
        page = await pages.get("/jobs/backup")

        assert 'class="outcome o-retrying"' in page
        told = text_of(page)
        assert "Between two attempts attempt 1 of 3 ended with fail" in told
        assert "the next one has to report by Sat 21 Nov 14:00 UTC" in told
        assert "attempt 1 of 3 ended with fail: disk full" in told
        # The chart and the strip are of runs.
        assert "(fail)" not in page
        assert '<use href="#run-fail" ' not in await pages.get("/")
        assert "backup retrying" in text_of(await pages.get("/?state=retrying"))

    async def test_tells_the_next_five_slots(self, pages: Pages) -> None:
        told = text_of(await pages.get("/jobs/backup"))

        for day in ("Sun 22", "Mon 23", "Tue 24", "Wed 25", "Thu 26"):
            assert f"{day} Nov 02:00 UTC {day} Nov 02:30 UTC" in told
        assert "Fri 27" not in told

    async def test_tells_the_history_of_alerts(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(ping("21 12:00", outcome=Outcome.FAIL))
        await service.record(ping("21 12:30"))
        told = text_of(await pages.get("/jobs/backup"))

        assert "failing warning Sat 21 Nov 12:00 UTC Sat 21 Nov 12:30 UTC 30m" in told

    async def test_tells_what_runs_now(
        self, pages: Pages, service: Service, clock: ManualClock
    ) -> None:
        await service.reconfigure(job_config(replace(BACKUP, max_runtime=600.0)))
        await service.record(ping("21 12:00", Kind.START, run_id="night-1"))
        clock.show(at("21 12:04"))
        told = text_of(await pages.get("/jobs/backup"))

        assert "Running now started 4m ago" in told
        assert "must finish in 6m night-1" in told

    async def test_tells_the_last_sign_of_life(
        self, pages: Pages, service: Service, clock: ManualClock
    ) -> None:
        limits = replace(BACKUP, max_runtime=3600.0, heartbeat=300.0)
        await service.reconfigure(job_config(limits))
        await service.record(ping("21 12:00", Kind.START, run_id="night-1"))
        await service.record(ping("21 12:04", Kind.PROGRESS, run_id="night-1"))
        clock.show(at("21 12:06"))
        told = text_of(await pages.get("/jobs/backup"))

        assert "next sign of life due in 3m last sign of life 2m ago" in told
        assert "sends signs of life sends one every 5m" in told

        clock.show(at("21 12:10"))
        await service.sweep()
        told = text_of(await pages.get("/jobs/backup"))
        assert "sign of life was due 1m ago" in told
        assert "No sign of life since Sat 21 Nov 12:04 UTC" in told

    async def test_names_the_jobs_that_it_requires(
        self, pages: Pages, service: Service
    ) -> None:
        needy = Job(name="needy", depends_on=(Dependency("backup"),))
        await service.reconfigure(job_config(BACKUP, needy))
        await service.record(ping("21 12:00", outcome=Outcome.FAIL))
        await service.sweep()
        page = await pages.get("/jobs/needy")

        assert '<a href="../jobs/backup">backup</a> (failing)' in page
        assert "Held back: no notifications are sent for this job while" in page

    async def test_marks_the_rules_that_are_broken(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(
            ping("21 12:00", duration=5.0, metrics={"rows": 0.0, "size": 9999.0})
        )
        page = await pages.get("/jobs/backup")

        assert re.search(r'<li class="bad"><code>rows &gt; 0</code>', page)
        assert re.search(r"<li><code>size &gt; 1KiB</code>", page)

    async def test_of_a_stranger_offers_near_names(
        self, pages: Pages, service: Service
    ) -> None:
        await service.reconfigure(job_config(BACKUP, Job(name="backup-weekly")))
        page = await pages.get("/jobs/bakcup", status=404)

        assert "Unknown job &#39;bakcup&#39;" in page
        assert '<a href="../jobs/backup">backup</a>' in page


class TestErrors:
    async def test_are_pages_for_people(self, pages: Pages) -> None:
        page = await pages.get("/no/such/place", status=404)

        assert "This page does not exist." in page
        assert 'href="../../static/page.css' in page

    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/no/such/place", {}),
            ("/no/such/place", {"Accept": "application/json"}),
            ("/api/v1/nothing", HTML),
            ("/ping/no/such/place/at/all", HTML),
            ("/-/nothing", HTML),
        ],
    )
    async def test_are_problems_for_programs(
        self, client: Client, path: str, headers: dict[str, str]
    ) -> None:
        answer = await client.get(path, headers=headers)

        assert answer.content_type == "application/problem+json"

    async def test_of_ours_are_told_without_their_insides(
        self, pages: Pages, context: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail() -> None:
            raise RuntimeError("password=hunter2")

        monkeypatch.setattr(context.index, "refresh", fail)
        page = await pages.get("/", status=500)

        assert "Internal server error; see the log of the daemon" in page
        assert "hunter2" not in page

    async def test_tell_which_method_is_taken(self, client: Client) -> None:
        answer = await client.get("/jobs/backup/pause", headers=HTML)

        assert answer.status == 405
        assert answer.headers["Allow"] == "POST"
        assert answer.content_type == "text/html"


class Shape(HTMLParser):
    """What a page is made of, whatever is written in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))


#: What is most likely to become markup, and anything else.
HOSTILE = TEXTS | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "</svg>",
     "' autofocus onfocus='x", "&lt;b&gt;", "javascript:alert(1)", "</title><b>"]
)  # fmt: skip


@given(words=st.lists(HOSTILE, min_size=6, max_size=6), value=NUMBERS)
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck)
)
def test_nothing_that_a_job_says_becomes_markup(words: list[str], value: float) -> None:
    """A page has the same elements whatever stands in it."""

    async def shapes(said: list[str]) -> list[list[tuple[str, tuple[str, ...]]]]:
        description, label, project, tag, message, meta = (f"x{one}" for one in said)
        job = replace(
            BACKUP,
            description=description,
            labels=(("team", label),),
            project=project,
            tags=(tag,),
            rules=(replace(parse_rule("rows > 0"), name=f"n{message}"),),
        )
        clock, store = ManualClock(at("21 12:00")), MemoryStore()
        service = Service(store, clock, job_config(job))
        await service.start()
        report = ping(
            "21 12:00",
            run_id=f"r{label}",
            message=message,
            metrics={"rows": -1.0, f"m{tag}": value},
            metadata=json.dumps({"k": meta}),
        )
        await service.record(report)
        context = context_of(service, store, clock, WebOptions())
        app = app_of(service, clock, more=routes(context))
        async with TestClient(TestServer(app)) as client:
            return [
                Shape(await (await client.get(path, headers=HTML)).text()).tags
                for path in ("/", "/jobs/backup", "/?q=%3Cb%3E-is-no-job")
            ]

    assert asyncio.run(shapes(words)) == asyncio.run(shapes(["a"] * 6))


def test_metadata_that_is_too_long_to_be_shown_is_named() -> None:
    """A page with the runs of a job has up to 1 MiB of it for each."""
    text = json.dumps({"rows": ["x"] * 10_000})

    assert [*job_rows._metadata(text)] == [
        ("metadata", f"{len(text)} characters, available in the API")
    ]


async def test_a_run_has_the_commit_that_judged_it(
    pages: Pages, service: Service
) -> None:
    await service.record(ping("21 12:00"))
    assert "Configuration" not in await pages.get("/jobs/backup")

    service.note_revision("0123456789abcdef")
    await service.record(ping("21 12:01"))

    text = await pages.get("/jobs/backup")
    assert "<dt>Configuration</dt><dd><code>0123456789ab</code></dd>" in text
    assert ", configuration <code>0123456789ab</code></span>" in text
