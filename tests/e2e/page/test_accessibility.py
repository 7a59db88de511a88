"""Nobody is shut out: axe finds nothing serious on any page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import Daemon
from tests.e2e.page.conftest import NARROW, Look, barriers, picture

PAGES = {
    "overview": "/",
    "list": "/?sort=-duration&state=ok",
    "alerts": "/alerts",
    "alerts-resolved": "/alerts?state=resolved",
    "runs": "/runs",
    "api": "/api/v1/docs",
    "report": "/report",
    "runbook": "/runbook",
    "job": "/jobs/nightly-backup",
    "job-backtest": "/jobs/nightly-backup?rules=rows_processed+%3E+140000",
    "job-backtest-refused": "/jobs/nightly-backup?rules=rows",
    "job-failing": "/jobs/crm-sync",
    "unknown-job": "/jobs/nightly-bakup",
}


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(look: Look, axe: str, name: str) -> None:
    """By day at a desk, and by night on a telephone; with all that can be opened."""
    page = look(PAGES[name])
    page.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")
    assert barriers(page, axe) == []

    page.set_viewport_size({"width": NARROW, "height": 900})
    page.emulate_media(color_scheme="dark")
    assert barriers(page, axe) == []


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Daemon]:
    """Another daemon, which knows no job."""
    other = Daemon(tmp_path)
    other.start()
    yield other
    other.kill()


def test_axe_finds_nothing_serious_where_there_is_no_job(
    look: Look, empty: Daemon, axe: str
) -> None:
    page = look("/")
    page.goto(empty.url)
    picture(page, "empty-1280-light")

    assert "How to begin" in (page.text_content("main") or "")
    assert barriers(page, axe) == []
    page.emulate_media(color_scheme="dark")
    assert barriers(page, axe) == []


def test_axe_would_find_something(look: Look, axe: str) -> None:
    """A picture without a word, and words that cannot be read."""
    page = look("/")
    page.evaluate(
        "document.querySelector('h1').style.color = '#bbb';"
        "document.querySelectorAll('.strip title').forEach(it => it.remove())"
    )

    told = "\n".join(barriers(page, axe))
    assert "color-contrast" in told
    assert "svg-img-alt" in told
