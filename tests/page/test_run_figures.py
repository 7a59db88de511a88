"""How a job does on the whole: runs of a day, the share of ok ones, and durations."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.last_day import MOST
from afterrun_exporter.core.model import Outcome, Run
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.run_figures import Figures, figures_of
from afterrun_exporter.storage.store import Ended
from tests.core.jobs import at, ping
from tests.page.conftest import Pages
from tests.page.test_overview_rows import text_of

NOW = at("22 12:00")


def ended(outcome: Outcome, hours: float = 1) -> Ended:
    return Ended(1, outcome, NOW - hours * 3600)


def run(duration: float | None, outcome: Outcome = Outcome.OK) -> Run:
    return Run(
        number=1,
        run_id=None,
        attempt=1,
        outcome=outcome,
        finished_at=NOW,
        received_at=NOW,
        duration=duration,
    )


def test_runs_of_the_last_day_are_counted() -> None:
    """What was canceled is a run, and neither ok nor not."""
    endings = [
        ended(Outcome.OK),
        ended(Outcome.OK),
        ended(Outcome.VIOLATED),
        ended(Outcome.CANCELED),
        ended(Outcome.FAIL, hours=25),
    ]

    assert figures_of(endings, [], NOW) == Figures("4", "66.7%", "", "")


@pytest.mark.parametrize(
    ("bad", "share"), [(0, "100%"), (1, "99.9%"), (1439, "0.1%"), (1440, "0%")]
)
def test_not_quite_all_is_not_all(bad: int, share: str) -> None:
    endings = [ended(Outcome.FAIL)] * bad + [ended(Outcome.OK)] * (MOST - bad)
    figures = figures_of(endings, [], NOW)

    assert (figures.runs, figures.ok) == ("more than 1,440", share)


def test_durations_are_those_of_ok_runs() -> None:
    runs = [run(60.0), run(None), run(7200.0, Outcome.FAIL), run(90.0), run(120.0)]
    figures = figures_of([], runs, NOW)

    assert (figures.median, figures.longest) == ("1m30s", "2m")


async def test_the_page_of_a_job_has_them(pages: Pages, service: Service) -> None:
    await service.record(ping("21 10:00", duration=418.38))
    await service.record(ping("21 11:00", outcome=Outcome.FAIL, duration=3.0))
    told = text_of(await pages.get("/jobs/backup"))

    assert "Last 24 hours 2 runs 50% ok" in told
    assert "Usually takes 6m58s longest 6m58s" in told
