"""The page of all alerts: what is open, what was, and who is notified."""

from __future__ import annotations

import re

import pytest

from afterrun_exporter import config
from afterrun_exporter.core.model import Dependency, Job, Outcome
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page import alerts_page
from afterrun_exporter.page.alerts_page import PER_PAGE
from afterrun_exporter.page.context import Context
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock
from tests.page.conftest import Pages
from tests.page.test_overview_rows import text_of
from tests.services import job_config

ROUTES = """
alertmanager:
  receiver: ops
  receivers: {ops: [{email: ops@example.com}], pager: [{email: pager@example.com}]}
  routes: [{match: {severity: critical}, receivers: [pager]}]
"""


def part_of(page: str, name: str) -> str:
    """Return what a reader sees of the open or the resolved alerts."""
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found is not None
    return text_of(f"<main>{found[0]}")


async def test_open_and_resolved_alerts_are_listed_with_their_reasons(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    failed = ping("21 11:00", outcome=Outcome.FAIL, message="disk full")
    await service.record(failed)
    await service.record(ping("21 11:30", metrics={"rows": 7.0, "size": 12.0}))
    clock.show(at("21 12:00"))
    page = await pages.get("/alerts")

    assert (
        "backup violated size > 1KiB warning Sat 21 Nov 11:30 UTC 30m "
        "size was 12 B, expected > 1 KiB" in part_of(page, "open")
    )
    assert (
        "backup failing warning Sat 21 Nov 11:00 UTC 30m Sat 21 Nov 11:30 UTC "
        "the last run ended with fail: disk full" in part_of(page, "resolved")
    )
    assert 'href="./jobs/backup"' in page
    assert 'href="./runbook#afterrunjobfailing"' in page
    assert 'id="no-receivers"' in page


async def test_times_in_reasons_are_those_of_the_job(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    clock.show(at("22 02:31"))
    await service.sweep()

    told = part_of(await pages.get("/alerts"), "open")
    assert "no run finished by Sun 22 Nov 02:30 UTC" in told


async def test_those_who_are_notified_are_named(
    pages: Pages, service: Service, context: Context
) -> None:
    context.receivers.recipients.configure(config.parse(ROUTES).alertmanager)
    loud = Job(name="loud", severity="critical")
    held = Job(name="held", depends_on=(Dependency("loud"),))
    await service.reconfigure(job_config(loud, held, Job(name="quiet")))
    own = JobReceiver(job="quiet", type=ReceiverType.EMAIL, target="me@example.com")
    await context.receivers.add(own)
    for name in ("loud", "quiet", "held"):
        await service.record(replace(ping("21 11:00", outcome=Outcome.FAIL), job=name))
    await service.sweep()
    page = await pages.get("/alerts")
    told = part_of(page, "open")

    assert re.search(r"loud failing critical .* fail pager", told)
    assert re.search(r"quiet failing warning .* fail email me@example.com, ops", told)
    assert re.search(r"held failing warning .* held back", told)
    assert 'id="no-receivers"' not in page


async def test_a_job_that_was_removed_keeps_its_alerts(
    pages: Pages, service: Service
) -> None:
    await service.record(ping("21 11:00", outcome=Outcome.FAIL))
    await service.reconfigure(job_config(Job(name="another")))

    told = part_of(await pages.get("/alerts"), "resolved")
    assert "backup removed failing" in told


@pytest.fixture
async def many(service: Service, clock: ManualClock) -> None:
    """More alerts than a page has, one a minute, the first ten resolved."""
    jobs = [
        Job(name=f"job-{n:02}", severity="critical" if n % 10 == 0 else "warning")
        for n in range(PER_PAGE + 20)
    ]
    await service.reconfigure(job_config(*jobs))
    for n, job in enumerate(jobs):
        failed = ping(f"21 0{n // 60}:{n % 60:02}", outcome=Outcome.FAIL)
        await service.record(replace(failed, job=job.name))
    for job in jobs[:10]:
        await service.record(replace(ping("21 10:00"), job=job.name))
    clock.show(at("21 12:00"))


def jobs_in(page: str) -> list[str]:
    return re.findall(r'scope="row"><a href="[^"]*jobs/([^"]+)"', page)


@pytest.mark.usefixtures("many")
class TestTheList:
    async def test_is_paged_newest_first(self, pages: Pages) -> None:
        """By the last alert that was shown, so new ones move nothing."""
        first = await pages.get("/alerts?state=open")
        assert jobs_in(first) == [f"job-{n}" for n in range(69, 19, -1)]
        (more,) = re.findall(r'href="\./alerts(\?[^"]+)" rel="next"', first)

        second = await pages.get(f"/alerts{more.replace('&amp;', '&')}")
        assert jobs_in(second) == [f"job-{n}" for n in range(19, 9, -1)]
        assert 'rel="next"' not in second

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("", PER_PAGE + 10),
            ("state=resolved", 10),
            ("state=open&severity=critical", 6),
            ("severity=critical", 7),
            ("kind=missed", 0),
            ("kind=failing&job=job-07", 1),
            ("since=2026-11-21T01:00:00Z", 10),
            ("state=open&since=10h30m", 0),
        ],
    )
    async def test_is_narrowed_by_its_address(
        self, pages: Pages, query: str, count: int
    ) -> None:
        assert len(jobs_in(await pages.get(f"/alerts?{query}"))) == count

    async def test_keeps_what_was_asked_in_the_form(self, pages: Pages) -> None:
        page = await pages.get("/alerts?kind=slow&severity=%22x%22&since=5d&job=a%26b")

        assert '<option value="slow" selected>slow' in page
        assert 'value="&#34;x&#34;"' in page
        assert '<option value="5d" selected>5d' in page
        assert 'value="a&amp;b"' in page


@pytest.mark.usefixtures("many")
async def test_a_search_is_bounded_and_can_go_on(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter may match nothing in a long history."""
    monkeypatch.setattr(alerts_page, "WINDOW", 40)
    page = await pages.get("/alerts?state=open&severity=critical")
    assert jobs_in(page) == ["job-60", "job-50", "job-40", "job-30"]
    assert "40 alerts were searched. Search older alerts" in text_of(page)
    (more,) = re.findall(r'href="\./alerts(\?[^"]+)" rel="next"', page)

    page = await pages.get(f"/alerts{more.replace('&amp;', '&')}")
    assert jobs_in(page) == ["job-20", "job-10"]
    assert "were searched" not in page


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("state=opne", "Unknown state &#39;opne&#39;; did you mean &#39;open&#39;?"),
        ("kind=late", "Unknown kind &#39;late&#39;"),
        ("jobs=x", "Unknown parameter &#39;jobs&#39;; did you mean &#39;job&#39;?"),
        ("job=a&job=b", "Parameter &#39;job&#39; is sent 2 times"),
        ("since=soon", "Since: "),
        ("before=x", "Before &#39;x&#39; is not the id of an alert"),
        (f"before={'9' * 30}", "is not the id of an alert"),
        (f"job={'x' * 201}", "Parameter &#39;job&#39; has 201 characters"),
    ],
)
async def test_refuses_what_it_does_not_know(
    pages: Pages, query: str, message: str
) -> None:
    assert message in await pages.get(f"/alerts?{query}", status=400)


class TestThePageOfAJob:
    async def test_tells_which_alerts_can_open_and_who_is_notified(
        self, pages: Pages, service: Service, context: Context
    ) -> None:
        context.receivers.recipients.configure(config.parse(ROUTES).alertmanager)
        rules = (BACKUP.rules[0], replace(BACKUP.rules[1], severity="critical"))
        job = replace(BACKUP, rules=rules, after_failures=3, max_runtime=3600.0)
        await service.reconfigure(job_config(job))
        told = text_of(await pages.get("/jobs/backup")).partition("can open")[2]

        for row in (
            "missed no run has finished 30m after its slot warning ops",
            "failing 3 runs in a row end with fail, partial, timeout or invalid warning ops",
            "violated a run breaks the rule rows > 0 warning ops",
            "violated a run breaks the rule size > 1KiB critical pager",
            "overrunning a run takes longer than 1h warning ops",
        ):
            assert row in told

    async def test_shows_a_severity_as_one_only_while_it_is_broken(
        self, pages: Pages, service: Service
    ) -> None:
        await service.reconfigure(job_config(replace(BACKUP, severity="critical")))
        await service.record(ping("21 11:00"))
        page = await pages.get("/jobs/backup")
        assert "severity if broken: critical" in page
        assert "v-critical" not in page

        await service.record(ping("21 11:30", outcome=Outcome.FAIL))
        page = await pages.get("/jobs/backup")
        assert "severity if broken" not in page
        assert '<span class="severity v-critical">critical</span>' in page

    async def test_has_a_runbook_always(self, pages: Pages, service: Service) -> None:
        """That of the job, or that of this daemon; and the section of the condition."""
        page = await pages.get("/jobs/backup")
        assert 'class="runbook" href="../runbook?job=backup"' in page

        own = "https://wiki.example/backup"
        await service.reconfigure(job_config(replace(BACKUP, runbook_url=own)))
        await service.record(ping("21 11:30", outcome=Outcome.FAIL))
        page = await pages.get("/jobs/backup")
        assert re.findall(r'class="runbook" href="([^"]*)"', page) == [own]

        await service.reconfigure(job_config(BACKUP))
        page = await pages.get("/jobs/backup")
        assert re.findall(r'class="runbook" href="([^"]*)"', page) == [
            "../runbook?job=backup#afterrunjobfailing"
        ]
