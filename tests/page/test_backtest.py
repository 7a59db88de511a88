"""Rules that are tried on the page of a job."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterrun_exporter.app import WebOptions
from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.page.backtest import FEW, MOST
from afterrun_exporter.page.routes import routes
from tests.copies import replace
from tests.core.jobs import BACKUP, GOOD, at, ping
from tests.examples import examples
from tests.fakes import ManualClock, MemoryStore
from tests.http import app_of
from tests.page.conftest import HTML, Pages, context_of
from tests.page.test_job_page import HOSTILE, Shape
from tests.page.test_overview_rows import words_of
from tests.services import job_config


def path(rules: str | None = None, since: str | None = None) -> str:
    """Return where the form leads."""
    given = {"rules": rules, "since": since}
    asked = {name: value for name, value in given.items() if value is not None}
    return f"/jobs/backup?{urlencode(asked)}"


def section(page: str) -> str:
    """Return what is about trying rules."""
    found = re.search(r'<section id="backtest".*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


async def report(service: Service, *rows: float, day: int = 21) -> None:
    """Report a run a minute."""
    for minute, count in enumerate(rows):
        metrics = {"rows": float(count), "size": 48211.0}
        await service.record(ping(f"{day} 12:{minute:02}", metrics=metrics))


class TestTheForm:
    async def test_has_the_rules_of_the_job(
        self, pages: Pages, service: Service
    ) -> None:
        """As people write them, so that a threshold is all there is to change."""
        halved = replace(parse_rule("rows >= 0.5 * previous"), name="halved")
        job = replace(BACKUP, rules=(*BACKUP.rules, halved))
        await service.reconfigure(job_config(job))
        told = section(await pages.get("/jobs/backup"))

        assert 'method="get" action="../jobs/backup#backtest"' in told
        assert (
            "rows &gt; 0\nsize &gt; 1KiB\n"
            "{expr: rows &gt;= 0.5 * previous, name: halved}</textarea>"
        ) in told
        assert 'id="tried"' not in told

    async def test_keeps_what_was_typed(self, pages: Pages, service: Service) -> None:
        await report(service, 120)
        told = section(await pages.get(path("rows > 7\r\n\r\n", "30d")))

        assert "rows &gt; 7\r\n\r\n</textarea>" in told
        assert '<option value="30d" selected>' in told

    async def test_takes_any_span_or_time_from_an_address(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120)
        told = section(await pages.get(path("rows > 7", "2d")))

        assert '<option value="2d" selected>since 2d</option>' in told

    async def test_of_several_texts_takes_all(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120)
        told = words_of(await pages.get("/jobs/backup?rules=rows+>+1&rules=rows+>+2"))

        assert "rows > 1 0 0 0 rows > 2 0 0 0" in told


class TestWhatIsShown:
    async def test_is_what_would_have_been_flagged(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120, 60, 0)
        told = words_of(section(await pages.get(path("rows between 1 and 100"))))

        assert "2 of 3 runs would be flagged, 1 was: 1 newly, 0 no longer." in told
        assert (
            "3 runs, Sat 21 Nov 12:00 UTC to Sat 21 Nov 12:02 UTC. Rule Would flag"
        ) not in told
        assert "rows between 1 and 100 2 0 0 rows > 0 not tried 1 –" in told  # noqa: RUF001
        assert (
            "Sat 21 Nov 12:00 UTC 1 + newly flagged rows between 1 and 100 120 "
            ">= 1 and <= 100"
        ) in told

    async def test_says_what_would_be_flagged_no_longer(
        self, pages: Pages, service: Service
    ) -> None:
        """With what was recorded of it."""
        await report(service, 120, 0)
        told = words_of(section(await pages.get(path("size > 1KiB"))))

        assert "12:01 UTC 2 − no longer flagged rows > 0 0 > 0" in told  # noqa: RUF001

    async def test_is_on_the_clocks_of_the_job_too(
        self, pages: Pages, service: Service
    ) -> None:
        riga = parse_cron("0 2 * * *", "Europe/Riga")
        await service.reconfigure(job_config(replace(BACKUP, schedule=riga)))
        await report(service, 120)
        told = words_of(section(await pages.get(path("rows > 500"))))

        assert "Sat 21 Nov 14:00 EET 12:00 UTC 1 + newly flagged" in told

    async def test_leads_to_the_run_in_the_list(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120, 50)
        page = await pages.get(path("rows > 100"))

        assert '<a href="#run-2">2</a>' in section(page)
        assert 'id="run-2"' in page

    async def test_has_values_and_durations_as_people_read_them(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(
            ping("21 12:00", duration=605.0, metrics={**GOOD, "rows": 1234567.0})
        )
        told = words_of(section(await pages.get(path("duration < 10m\nrows < 9000"))))

        assert "duration < 10m 10m5s < 10m rows < 9000 1,234,567 < 9,000" in told

    async def test_counts_runs_since_then_alone(
        self, pages: Pages, service: Service, clock: ManualClock
    ) -> None:
        await report(service, 1, 2, day=11)
        await report(service, 3, day=21)
        clock.show(at("21 13:00"))

        for since, count in (("7d", 1), ("", 3), ("2026-11-11T12:01:00Z", 2)):
            told = words_of(section(await pages.get(path("rows > 100", since))))
            assert f"{count} of {count} run" in told

    async def test_names_what_may_be_misspelt(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120)
        told = words_of(section(await pages.get(path("row > 100"))))

        assert (
            "'row > 100' flags every run: 'row' was never reported; did you mean "
            "'rows'?"
        ) in told

    async def test_says_where_history_has_a_gap(
        self, pages: Pages, service: Service, store: MemoryStore
    ) -> None:
        await report(service, 120, 110, 100)
        await store.prune(at("21 12:00:30"), 1000)
        told = words_of(section(await pages.get(path("rows >= 0.5 * previous"))))

        assert "History is incomplete: 1 older run of this job was deleted" in told
        assert "1 run cannot be evaluated" in told
        assert "Not reported Unknown" in told

    async def test_says_which_runs_are_not_judged(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120)
        await service.record(ping("21 13:00", outcome=Outcome.FAIL))
        told = words_of(section(await pages.get(path("rows > 1"))))

        assert "1 did not report ok, so rules do not apply to it." in told

    async def test_is_limited_in_length(self, pages: Pages, service: Service) -> None:
        """Of very many runs, and of very many rules; all are counted."""
        await report(service, *[5] * (MOST + 2))
        rules = "\n".join(f"rows > {10 + n}" for n in range(FEW + 3))
        page = section(await pages.get(path(rules)))

        assert page.count("newly flagged</b>") == MOST
        assert page.count("and 3 more") == MOST
        assert "The newest 50; 2 older runs differ as well." in words_of(page)

    async def test_a_job_that_has_not_run_says_so(self, pages: Pages) -> None:
        told = words_of(section(await pages.get(path("rows > 1"))))

        assert "No runs yet: there is nothing to test rules on." in told

    async def test_draws_the_threshold_that_is_tried(
        self, pages: Pages, service: Service
    ) -> None:
        """And marks what would be flagged, not what was."""
        await report(service, 120, 50, 0)
        told = section(await pages.get(path("rows > 100\nnone > 1\nduration < 1h")))

        (drawing,) = re.findall(r"<figure.*?</figure>", told, re.DOTALL)
        assert "<title>rows</title>" in drawing
        assert drawing.count('class="bar bad"') == 2
        assert "limit &gt; 100" in drawing

    async def test_draws_what_previous_would_have_been(
        self, pages: Pages, service: Service
    ) -> None:
        """A run that would be flagged is no measure of the next."""
        await report(service, 100, 40, 60)
        told = section(await pages.get(path("rows >= 0.5 * previous")))

        (drawing,) = re.findall(r"<figure.*?</figure>", told, re.DOTALL)
        heights = re.findall(
            r'<line class="limit l0" x1="[^0][^"]+" .*? y1="(\S+)"', drawing
        )
        assert len(heights) == 2
        assert heights[0] == heights[1]


class TestMakingItLive:
    async def test_is_a_matter_of_pasting(self, pages: Pages, service: Service) -> None:
        await report(service, 120)
        lenient = "{expr: size > 2KiB, on_missing: ignore}"
        told = section(await pages.get(path(f"rows > 100\n{lenient}")))

        assert (
            "jobs:\n  backup:\n    rules:\n      - rows &gt; 100\n"
            "      - {expr: size &gt; 2KiB, on_missing: ignore}</code>"
        ) in told
        assert "Replace the rules of backup" in told

    async def test_of_a_job_without_a_file_says_that_it_is_to_be_added(
        self, pages: Pages, service: Service
    ) -> None:
        await service.record(replace(ping("21 12:00"), job="stray"))
        told = words_of(await pages.get("/jobs/stray?rules=rows+>+1"))

        assert "Add the job to afterrun.yml" in told

    async def test_is_not_needed_for_rules_that_it_has(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120)
        told = words_of(section(await pages.get("/jobs/backup?since=")))

        assert "These are the current rules." in told
        assert "jobs:" not in told


class TestWhatCannotBeTried:
    async def test_is_told_at_once_and_nothing_typed_is_lost(
        self, pages: Pages, service: Service
    ) -> None:
        await report(service, 120)
        typed = "rows > 100\nrows\n{expr: size > 1, on_mising: ignore}"
        page = section(await pages.get(path(typed, "soon"), status=400))
        told = words_of(page)

        assert "3 problems:" in told
        assert "Line 2: cannot read rule 'rows': write METRIC OP VALUE" in told
        assert "Line 3: on_mising: unknown key; did you mean 'on_missing'?" in told
        assert "since: 'soon' is neither a duration nor a time" in told
        assert 'aria-invalid="true"' in page
        assert "rows &gt; 100\nrows\n{expr: size &gt; 1, on_mising: ignore}<" in page
        assert 'id="tried"' not in page

    async def test_are_too_many_rules(self, pages: Pages) -> None:
        rules = "\n".join(f"r{n} > 1" for n in range(101))
        told = words_of(section(await pages.get(path(rules), status=400)))

        assert "101 rules are too many for a backtest: at most 100" in told

    async def test_a_database_that_cannot_be_read_leaves_the_page(
        self,
        pages: Pages,
        store: MemoryStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def broken(*_: object, **__: object) -> None:
            raise StorageError("the disk is gone")

        monkeypatch.setattr(store, "runs", broken)
        page = await pages.get(path("rows > 100"))

        assert "The database cannot be read" in page
        assert "rows &gt; 100</textarea>" in page
        assert 'id="tried"' not in page


async def test_nothing_is_changed_by_it(
    pages: Pages, service: Service, store: MemoryStore
) -> None:
    await report(service, 120, 50)
    before = dict(store.states), await store.runs("backup", 9), await store.alerts()

    await pages.get(path("rows > 1000"))

    after = dict(store.states), await store.runs("backup", 9), await store.alerts()
    assert after == before


#: What may be typed into an address, and anything else.
TYPED = HOSTILE | st.sampled_from(
    ["</textarea><script>alert(1)</script>", "rows > 1 <!--", "{name: '<b>'}"]
)


@given(name=HOSTILE, typed=TYPED)
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck)
)
def test_nothing_that_is_typed_becomes_markup(name: str, typed: str) -> None:
    """Neither in the rules that are tried nor in those that cannot be."""
    letters = "".join(filter(str.isprintable, name)) or "x"

    async def shapes(text: str, name: str) -> list[list[tuple[str, tuple[str, ...]]]]:
        rules = (replace(parse_rule("rows > 0"), name=name),)
        clock, store = ManualClock(at("21 12:00")), MemoryStore()
        service = Service(store, clock, job_config(Job(name="backup", rules=rules)))
        await service.start()
        await report(service, 0, 5)
        context = context_of(service, store, clock, WebOptions())
        app = app_of(service, clock, more=routes(context))
        async with TestClient(TestServer(app)) as client:
            return [
                Shape(await (await client.get(where, headers=HTML)).text()).tags
                for where in (
                    path("{expr: rows > 2, name: tried}"),
                    path(" ".join(f"rows {text}".split())),
                    path("rows > 1", f"x{text}"),
                )
            ]

    assert asyncio.run(shapes(typed, letters)) == asyncio.run(shapes("a", "b"))
