"""The runbook: served in the version of the daemon, and reached from each alert."""

from __future__ import annotations

import re

import pytest

from afterrun_exporter import conventions as names
from afterrun_exporter.app import WebOptions
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.engine.service import Service
from afterrun_exporter.rulegen.links import links
from afterrun_exporter.rulegen.prometheus import rules_file
from tests.copies import replace
from tests.core.jobs import BACKUP, ping
from tests.http import Client
from tests.page.conftest import Pages
from tests.services import job_config

ALERTS = [
    rule["alert"]
    for group in rules_file()["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


async def test_it_has_a_section_for_each_alert(pages: Pages) -> None:
    page = await pages.get("/runbook")

    assert {f'<h2 id="{alert.lower()}">{alert}</h2>' in page for alert in ALERTS} == {
        True
    }


async def test_its_links_lead_somewhere(pages: Pages) -> None:
    """Inside of it, or to the other documents, which the daemon does not serve."""
    page = await pages.get("/runbook")
    text = page.partition('<article class="runbook-text">')[2].partition("</article")[0]

    targets = re.findall(r'href="([^"]*)"', text)

    assert len(targets) > 10
    for target in targets:
        if target.startswith("#"):
            assert f'id="{target[1:]}"' in text
        else:
            assert target.startswith("https://github.com/")
    assert f"{names.RUNBOOK.rpartition('/')[0]}/clocks.md#effect" in " ".join(targets)


async def test_commands_and_queries_are_escaped(pages: Pages) -> None:
    page = await pages.get("/runbook")

    assert "'job_name=&quot;JOB&quot;'" in page


async def test_a_job_without_its_own_leads_to_it(client: Client) -> None:
    answer = await client.get("/jobs/backup/runbook", allow_redirects=False)

    assert (answer.status, answer.headers["Location"]) == (
        302,
        "../../runbook?job=backup",
    )


async def test_its_commands_are_about_the_job_of_the_alert(pages: Pages) -> None:
    """To be pasted at once."""
    page = await pages.get("/runbook?job=backup")

    assert "afterrun runs backup --limit=5" in page
    assert "grep '[b]ackup'" in page
    assert re.findall(r"\bJOB\b", page) == []
    assert "The commands are about the job <b>" in page


async def test_its_first_step_is_the_page_of_the_job(pages: Pages) -> None:
    page = await pages.get("/runbook?job=backup")
    links = re.findall(r'<a href="([^"]*/jobs/backup)">([^<]*)</a>', page)

    assert links[0] == ("./jobs/backup", "Back to backup")
    assert links[1][0] == links[1][1]
    assert links[1][0].startswith("http://127.0.0.1:")
    assert page.index(links[1][0]) < page.index("curl ")


async def test_its_commands_and_queries_say_where_they_belong(pages: Pages) -> None:
    page = await pages.get("/runbook")

    assert "localhost:10707" not in page
    assert re.search(r"curl -fsS http://127.0.0.1:\d+/-/healthy", page)
    queries = page.count('<code class="language-promql">')
    assert queries > 10
    assert page.count('<p class="where">In Prometheus:</p>') == queries


async def test_its_silence_is_of_the_open_alert(pages: Pages, service: Service) -> None:
    assert "alertname=ALERT job_name=backup" in await pages.get("/runbook?job=backup")

    await service.record(ping("21 11:30", outcome=Outcome.FAIL))
    page = await pages.get("/runbook?job=backup")

    assert f"alertname={names.JOB_FAILING} job_name=backup" in page
    assert re.findall(r"\bALERT\b", page) == []


async def test_an_unknown_job_changes_no_command(pages: Pages) -> None:
    page = await pages.get("/runbook?job=<script>")

    assert "afterrun runs JOB --limit=5" in page


async def test_the_own_runbook_of_a_job_comes_first(
    client: Client, service: Service
) -> None:
    url = "https://wiki.example/backup?a=1"
    await service.reconfigure(job_config(replace(BACKUP, runbook_url=url)))

    answer = await client.get("/jobs/backup/runbook", allow_redirects=False)

    assert (answer.status, answer.headers["Location"]) == (302, url)


async def test_an_unknown_job_has_none(client: Client) -> None:
    answer = await client.get("/jobs/nobody/runbook", allow_redirects=False)

    assert answer.status == 404


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_links_to_a_runbook_that_answers(alert: str) -> None:
    """That of the repository while the daemon is down."""
    url = "https://afterrun.example/ops"
    found = links(alert, url, "backup")

    down = alert in {names.EXPORTER_DOWN, names.EXPORTER_ABSENT}
    about_job = alert in names.ALERT_OF.values()
    page = f"{url}/jobs/backup" if about_job else url
    runbook = f"{names.RUNBOOK}#" if down else f"{page}/runbook#"
    assert found["runbook_url"] == f"{runbook}{alert.lower()}"
    assert found.get("page_url") == (page if about_job else None)


class TestBehindAProxy:
    @pytest.fixture
    def options(self) -> WebOptions:
        return WebOptions(external_url="https://example.org/afterrun/")

    async def test_the_redirect_keeps_the_prefix(self, client: Client) -> None:
        answer = await client.get("/jobs/backup/runbook", allow_redirects=False)

        assert answer.headers["Location"] == "/afterrun/runbook?job=backup"
