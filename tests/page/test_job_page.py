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
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.page import job as job_page
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.routes import routes
from afterrun_exporter.testing import ManualClock, MemoryStore
from tests.changed import replace
from tests.core.jobs import BACKUP, at, ping
from tests.examples import examples
from tests.http import Client, app_of
from tests.page.conftest import HTML, Pages, context_of
from tests.page.test_overview import text_of
from tests.services import job_config
from tests.strategies import NUMBERS, TEXTS

STRAY = replace(ping("21 12:00"), job="stray")


class TestThePage:
    async def test_draws_each_metric_with_its_thresholds(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(ping("21 12:00", metrics={"rows": 0.0, "size": 9999.0}))
        page = await pages.get("/jobs/backup")

        for title in ("Duration", "rows", "size"):
            assert f'<svg class="plot" role="img"><title>{title}</title>' in page
        assert page.count('<line class="limit"') >= 2
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

        assert "3 h 1 min ahead" in told
        assert "clock was ahead when the run was recorded, by 3 h 1 min or more" in told
        assert "by a clock that was ahead" in told
        assert "in 3 h" not in page
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

        assert (
            "failing warning Sat 21 Nov 12:00 UTC Sat 21 Nov 12:30 UTC 30 min" in told
        )

    async def test_tells_what_runs_now(
        self, pages: Pages, service: Service, clock: ManualClock
    ) -> None:
        await service.reconfigure(job_config(replace(BACKUP, max_runtime=600.0)))
        await service.record(ping("21 12:00", Kind.START, run_id="night-1"))
        clock.show(at("21 12:04"))
        told = text_of(await pages.get("/jobs/backup"))

        assert "Running now started 4 min ago" in told
        assert "must finish in 6 min night-1" in told

    async def test_tells_the_last_sign_of_life(
        self, pages: Pages, service: Service, clock: ManualClock
    ) -> None:
        limits = replace(BACKUP, max_runtime=3600.0, heartbeat=300.0)
        await service.reconfigure(job_config(limits))
        await service.record(ping("21 12:00", Kind.START, run_id="night-1"))
        await service.record(ping("21 12:04", Kind.PROGRESS, run_id="night-1"))
        clock.show(at("21 12:06"))
        told = text_of(await pages.get("/jobs/backup"))

        assert "next sign of life due in 3 min last sign of life 2 min ago" in told
        assert "sends signs of life sends one every 5m" in told

        clock.show(at("21 12:10"))
        await service.sweep()
        told = text_of(await pages.get("/jobs/backup"))
        assert "sign of life was due 1 min ago" in told
        assert "No sign of life since 2026-11-21T12:04:00Z" in told

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
        await service.record(ping("21 12:00", metrics={"rows": 0.0, "size": 9999.0}))
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


class TestPausing:
    @pytest.mark.parametrize(
        ("wanted", "told"),
        [
            ("1h", "until Sat 21 Nov 13:00 UTC"),
            ("1d", "until Sun 22 Nov 12:00 UTC"),
            ("", "until it is resumed"),
        ],
    )
    async def test_is_done_for_as_long_as_was_asked(
        self, pages: Pages, wanted: str, told: str
    ) -> None:
        page = await pages.send("/jobs/backup/pause", {"for": wanted})

        assert "The job is paused" in page
        assert f"Paused since Sat 21 Nov 12:00 UTC , {told}" in text_of(page)
        assert "/pause" not in page

    async def test_is_ended(self, pages: Pages, service: Service) -> None:
        await pages.send("/jobs/backup/pause", {"for": ""})
        page = await pages.send("/jobs/backup/resume")

        assert "The job is monitored again." in page
        assert (job := service.job("backup")) is not None
        assert job.enabled

    async def test_leads_back_by_a_redirect(self, pages: Pages) -> None:
        """So that loading the page anew does not pause it anew."""
        form = {"for": "1h", "token": await pages.token()}
        answer = await pages.client.post(
            "/jobs/backup/pause", data=form, allow_redirects=False
        )

        assert answer.status == 303
        assert answer.headers["Location"] == "../backup?done=paused"

    async def test_for_a_time_that_is_not_offered_is_refused(
        self, pages: Pages, service: Service
    ) -> None:
        page = await pages.send("/jobs/backup/pause", {"for": "1y"}, status=400)

        assert "for: &#39;1y&#39; is not offered" in page
        assert (state := service.state("backup")) is not None
        assert not state.paused_at

    async def test_of_a_job_that_has_gone_says_so(self, pages: Pages) -> None:
        page = await pages.send("/jobs/gone/pause", {"for": ""}, status=404)

        assert "Unknown job" in page


class TestRemoving:
    async def test_forgets_a_job_that_no_file_names(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(STRAY)
        assert "Remove stray" in await pages.get("/jobs/stray")
        page = await pages.send("/jobs/stray/retire")

        assert "The job is removed." in page
        assert "jobs/stray" not in page
        assert service.job("stray") is None

    async def test_is_for_the_file_where_that_names_the_job(
        self, pages: Pages, service: Service
    ) -> None:
        assert "/retire" not in await pages.get("/jobs/backup")
        page = await pages.send("/jobs/backup/retire", status=409)

        assert "is defined in afterrun.yml; remove it there" in page
        assert service.job("backup") is not None


MAIL = {"alert_type": "email", "target": "oncall@example.com", "on_missed": "on"}


class TestReceivers:
    async def test_are_added_and_removed(
        self, pages: Pages, store: MemoryStore
    ) -> None:
        page = await pages.send("/jobs/backup/receivers", MAIL)
        (added,) = await store.receivers()

        assert "The receiver is added." in page
        assert "email oncall@example.com missed runs" in text_of(page)
        assert (added.on_missed, added.on_failure) == (True, False)

        page = await pages.send(f"/jobs/backup/receivers/{added.id}/delete")
        assert "The receiver is removed." in page
        assert await store.receivers() == []

    @pytest.mark.parametrize(
        ("form", "message"),
        [
            (MAIL | {"target": "on call"}, "&#39;on call&#39; is not a mail address"),
            (MAIL | {"target": " "}, "the target is empty"),
            (MAIL | {"alert_type": "pigeon"}, "choose one of webhook, email"),
            ({"alert_type": "email", "target": "a@b"}, "choose at least one event"),
        ],
    )
    async def test_that_cannot_be_are_refused_and_nothing_typed_is_lost(
        self, pages: Pages, store: MemoryStore, form: dict[str, str], message: str
    ) -> None:
        page = await pages.send("/jobs/backup/receivers", form, status=400)

        assert message in page
        assert f'value="{form["target"]}" aria-invalid="true"' in page
        assert '<details id="add-receiver" open>' in page
        assert ('name="on_missed" checked' in page) is ("on_missed" in form)
        assert 'name="on_failure" checked' not in page
        assert await store.receivers() == []

    async def test_are_not_added_twice(self, pages: Pages) -> None:
        await pages.send("/jobs/backup/receivers", MAIL)
        page = await pages.send("/jobs/backup/receivers", MAIL, status=409)

        assert "already has this email receiver" in page

    async def test_show_no_secret(self, pages: Pages, store: MemoryStore) -> None:
        target = "https://hooks.slack.com/services/T0/B0/secret"
        await store.add_receivers(
            [JobReceiver(job="backup", type=ReceiverType.SLACK, target=target)]
        )
        page = await pages.get("/jobs/backup")

        assert "https://hooks.slack.com/…" in page
        assert "secret" not in page

    @pytest.mark.parametrize("number", ["7", "x", "9" * 40])
    async def test_that_are_not_there_cannot_be_removed(
        self, pages: Pages, number: str
    ) -> None:
        page = await pages.send(f"/jobs/backup/receivers/{number}/delete", status=404)

        assert "no receiver has the id" in page

    async def test_of_another_job_are_left_alone(
        self, pages: Pages, store: MemoryStore
    ) -> None:
        [added] = await store.add_receivers(
            [JobReceiver(job="other", type=ReceiverType.EMAIL, target="a@b.example")]
        )
        await pages.send(f"/jobs/backup/receivers/{added.id}/delete", status=400)

        assert await store.receivers() == [added]


class TestAForm:
    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_of_another_site_is_refused(
        self, pages: Pages, service: Service, site: str
    ) -> None:
        answer = await pages.client.post(
            "/jobs/backup/pause",
            data={"for": "", "token": await pages.token()},
            headers={**HTML, "Sec-Fetch-Site": site},
        )

        assert answer.status == 403
        assert "Cross-site request from a browser refused" in await answer.text()
        assert (state := service.state("backup")) is not None
        assert not state.paused_at

    async def test_that_no_page_of_ours_has_made_is_refused(
        self, client: Client, service: Service
    ) -> None:
        answer = await client.post(
            "/jobs/backup/pause", data={"for": "", "token": "1.made-up"}, headers=HTML
        )

        assert answer.status == 403
        assert "this form has expired: reload the page" in await answer.text()
        assert (state := service.state("backup")) is not None
        assert not state.paused_at

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"for=\xff%ff", "the form cannot be read"),
            (b"for=1h&for=1d", "a form field is sent twice"),
            (b"for=1h&until=never", "unknown field &#39;until&#39;"),
            (b"for=" + b"x" * 20_000, "send at most 16384"),
            (b"&".join(b"a%d=1" % n for n in range(99)), "the form cannot be read"),
        ],
        ids=["no text", "twice", "unknown", "large", "many"],
    )
    async def test_that_is_none_is_refused(
        self, pages: Pages, body: bytes, message: str
    ) -> None:
        form = {**HTML, "Content-Type": "application/x-www-form-urlencoded"}
        body += f"&token={await pages.token()}".encode()
        answer = await pages.client.post("/jobs/backup/pause", data=body, headers=form)

        assert answer.status == 400
        assert message in await answer.text()

    async def test_of_another_type_is_refused(self, client: Client) -> None:
        answer = await client.post("/jobs/backup/pause", json={}, headers=HTML)

        assert answer.status == 400
        assert "the body is application/json" in await answer.text()

    async def test_that_cannot_be_stored_is_told_and_kept(
        self, pages: Pages, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def full(_: object) -> list[JobReceiver]:
            raise StorageError("cannot write to afterrun.db: disk is full")

        monkeypatch.setattr(store, "add_receivers", full)
        page = await pages.send("/jobs/backup/receivers", MAIL, status=503)

        assert "disk is full" in page
        assert 'value="oncall@example.com"' in page


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
            rules=(parse_rule("rows > 0", name=f"n{message}"),),
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

    assert [*job_page._metadata(text)] == [
        ("metadata", f"{len(text)} characters, available in the API")
    ]
