"""What somebody sees who opens the page at three in the morning."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.daemon.daemon import Daemon
from tests.e2e.page.conftest import NARROW, Look, picture

BROKEN = "nightly-backup"


def test_the_broken_job_and_the_reason_are_seen_at_once(look: Look) -> None:
    """In the first screen, without scrolling or a click."""
    page = look("/")
    trouble = page.locator(f"#broken-{BROKEN}")

    expect(page.get_by_role("heading", name="2 jobs are broken")).to_be_in_viewport()
    expect(trouble.get_by_role("link", name=BROKEN, exact=True)).to_be_in_viewport()
    value = trouble.locator(".versus").first
    expect(value).to_have_text("rows_processed 0 expected > 0")
    expect(value).to_be_in_viewport()
    expect(trouble.locator(".since").first).to_contain_text(
        re.compile(r"for 2h1\dm, since")
    )
    expect(trouble.get_by_role("link", name=re.compile("Runbook"))).to_have_attribute(
        "href", "https://wiki.example/backup"
    )
    expect(page.locator("#broken-crm-sync")).to_contain_text("connection refused")
    expect(page).to_have_title("2 jobs are broken · AfterRun")


def test_the_broken_job_is_first_on_a_telephone_too(look: Look) -> None:
    page = look("/", width=NARROW)

    expect(page.locator(f"#broken-{BROKEN} h2")).to_be_in_viewport()
    expect(page.locator(f"#broken-{BROKEN} .versus").first).to_be_in_viewport()


PAGES = {
    "overview": "/",
    "nothing-found": "/?q=no-such-job",
    "job": f"/jobs/{BROKEN}",
    "job-backtest": f"/jobs/{BROKEN}?rules=rows_processed+%3E+140000&since=30d",
    "job-failing": "/jobs/crm-sync",
    "job-running": "/jobs/transform",
    "job-without-runs": "/jobs/archive",
    "alerts": "/alerts",
    "runs": "/runs",
    "runs-of-a-job": f"/runs?job={BROKEN}",
    "alerts-refused": "/alerts?state=x",
    "api": "/api/v1/docs",
    "report": "/report",
    "runbook": "/runbook",
    "unknown-job": "/jobs/nightly-bakup",
    "error": "/?state=borken",
}


#: Those that are painted in the dark as well.
SEEN_IN_THE_DARK = {"overview", "job", "alerts"}


WIDTHS = (NARROW, 768, 1600)
#: Tables that are wider than their place.
CUT = """
[...document.querySelectorAll('.scroll')]
  .filter(it => it.scrollWidth > it.clientWidth + 1)
  .map(it => `${it.id}: ${it.scrollWidth} > ${it.clientWidth}`)
"""


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_its_window(look: Look, name: str) -> None:
    page = look(PAGES[name])

    page.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Nothing is cut off or scrolled sideways, but for what is to be pasted.
        assert page.evaluate(CUT) == [], width
        picture(page, f"{name}-{width}-light")
        if name in SEEN_IN_THE_DARK:
            page.emulate_media(color_scheme="dark")
            picture(page, f"{name}-{width}-dark")
            page.emulate_media(color_scheme="light")


#: Durations and times since, each of which fits on one line.
SPELLED: Final = re.compile(r"\b\d+ (?:d|h|min|s)\b|\b\d+m\d+\.\d+s\b")
#: The number of lines of each duration.
LINES: Final = """
[...document.querySelectorAll('.took, td[data-head=Took], td[data-head=Lasted], td[data-head=Lasts]')]
  .filter(it => it.checkVisibility() && it.textContent.trim())
  .map(it => {
    const range = document.createRange();
    range.selectNodeContents(it);
    return new Set([...range.getClientRects()].map(box => Math.round(box.top / 8))).size;
  })
"""


@pytest.mark.parametrize(
    "path", ["/", f"/jobs/{BROKEN}", "/jobs/reindex", "/alerts", "/runs"]
)
def test_durations_have_one_spelling_and_do_not_wrap(look: Look, path: str) -> None:
    """Like 6m58s: no milliseconds of minutes, and not "6 min 58 s" beside it."""
    page = look(path)
    page.set_viewport_size({"width": 1600, "height": 900})
    lines: list[int] = page.evaluate(LINES)

    assert SPELLED.findall(page.inner_text("main")) == []
    assert set(lines) <= {1}


#: Times, and sizes with their unit, that are on more than one line.
BROKEN_UP: Final = """
(() => {
  const found = [];
  const check = (range, text) => {
    const tops = [...range.getClientRects()].map(box => Math.round(box.top / 8));
    if (new Set(tops).size > 1) found.push(text);
  };
  for (const it of document.querySelectorAll('time:not(.exact), time.exact > span')) {
    if (!it.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(it);
    check(range, it.textContent);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const quantity = /\\d\\s(?:[KMGT]i?)?B\\b|\\d\\d:\\d\\d(?::\\d\\d)? [A-Z]{3,4}\\b/g;
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (!node.parentElement.checkVisibility() || node.parentElement.closest('svg, pre')) continue;
    for (const match of node.data.matchAll(quantity)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      check(range, match[0]);
    }
  }
  return found;
})()
"""

#: Replaces the day of each time: the widths must not depend on the date of the test.
SET_DAY: Final = """
day => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    node.data = node.data.replace(/\\b[A-Z][a-z]{2} \\d{1,2} [A-Z][a-z]{2} (?=\\d\\d:)/g, day);
  }
}
"""
DAYS: Final = ("Fri 1 Jul ", "Tue 3 Nov ", "Thu 10 Apr ", "Wed 30 Nov ")


@pytest.mark.parametrize("name", ["overview", "job", "job-running", "alerts", "runs"])
def test_times_and_sizes_are_not_broken_up(look: Look, name: str) -> None:
    page = look(PAGES[name], width=NARROW)
    page.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")

    for day in DAYS:
        page.evaluate(SET_DAY, day)
        assert page.evaluate(BROKEN_UP) == [], day


def test_dark_is_dark_and_light_is_light(look: Look) -> None:
    def lightness(page: Page) -> tuple[int, int]:
        colours: Any = page.evaluate(
            "['backgroundColor', 'color'].map(it => getComputedStyle(document.body)[it])"
        )
        back, text = (sum(map(int, re.findall(r"\d+", one)[:3])) for one in colours)
        return back, text

    back, text = lightness(look("/"))
    dark_back, dark_text = lightness(look("/", scheme="dark"))

    assert min(back, dark_text) > 600
    assert max(text, dark_back) < 200


def test_a_chart_shows_the_runs_and_the_threshold(look: Look) -> None:
    page = look(f"/jobs/{BROKEN}")
    chart = page.locator(".chart").filter(has_text="Duration")

    assert chart.locator(".bar").count() == 29
    assert chart.locator("line.limit").count() >= 2
    expect(chart.locator(".bar.bad")).to_have_count(1)
    expect(chart.locator("figcaption")).to_contain_text("max_runtime 1h")
    box = chart.locator(".bar.bad").bounding_box()
    line = chart.locator(".plot line.limit").first.bounding_box()
    assert box is not None
    assert line is not None
    # The run of 49 minutes reaches above the line at 45.
    assert box["y"] < line["y"] < box["y"] + box["height"]
    expect(page.get_by_role("img", name="rows_processed")).to_be_visible()


def test_the_runbook_opens_at_its_section_at_once(look: Look) -> None:
    """A smooth scroll from the beginning would be a jump."""
    page = look("/runbook?job=crm-sync#afterrunjobfailing", width=NARROW)

    style = "getComputedStyle(document.documentElement).scrollBehavior"
    assert page.evaluate(style) == "auto"
    expect(page.get_by_role("heading", name="AfterRunJobFailing")).to_be_in_viewport()
    expect(page.get_by_role("link", name="Back to crm-sync")).to_be_in_viewport()


@pytest.mark.parametrize("name", ["missed", "overrunning", "success ratio low"])
def test_conditions_and_names_of_jobs_are_not_broken(look: Look, name: str) -> None:
    page = look("/alerts")
    page.evaluate(
        """name => {
          const row = document.querySelector("table.alerts tbody tr");
          row.querySelector("th a").textContent = name;
          row.querySelector('td[data-head="Condition"] a').textContent = name;
        }""",
        name,
    )

    links = page.locator("table.alerts tbody tr").first.get_by_role("link", name=name)
    heights = [box["height"] for one in links.all() if (box := one.bounding_box())]
    assert len(heights) == 2
    assert max(heights) < 30


def test_everything_works_without_javascript(look: Look, daemon: Daemon) -> None:
    page = look("/", javascript=False)
    page.get_by_label("Search").fill("started by HAND")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".count")).to_have_text("1 to 1 of 1 that match, of 7")

    page.get_by_role("rowheader").get_by_role("link", name="reindex").click()
    page.locator("#run-6 summary").click()
    expect(page.locator("#run-6 dl")).to_contain_text("reindex-")
    page.get_by_role("button", name="for 1 hour").click()

    expect(page.get_by_text("The job is paused")).to_be_visible()
    assert daemon.get("/api/v1/jobs/reindex").json()["state"] == "paused"
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The job is monitored again.")).to_be_visible()


def test_filters_are_in_the_address(look: Look) -> None:
    page = look("/")
    page.get_by_label("Label").select_option("team=sales")
    page.get_by_role("button", name="Show").click()

    expect(page.get_by_role("rowheader")).to_have_count(2)
    assert "label=team%3Dsales" in page.url
    expect(look("/?label=team%3Dsales").get_by_role("rowheader")).to_have_count(2)
