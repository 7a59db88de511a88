"""What somebody does on the page, and what it does by itself."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.daemon.daemon import AFTERRUN, Daemon
from tests.e2e.page.conftest import Look, picture
from tests.patience import PATIENCE, PATIENT


def refresh(page: Page) -> None:
    """Have the page look for news now, as when it is shown again."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_job_is_paused_and_resumed(look: Look, daemon: Daemon) -> None:
    page = look("/jobs/reindex")
    page.get_by_role("button", name="for 1 day").click()
    expect(page.get_by_role("status").filter(has_text="paused")).to_be_visible()
    assert daemon.series()["afterrun_job_paused", "reindex"] == 1
    # It is told once, and not again when the page is loaded anew.
    expect(page).to_have_url(f"{daemon.url}/jobs/reindex")

    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The job is monitored again.")).to_be_visible()
    assert daemon.series()["afterrun_job_paused", "reindex"] == 0


def test_a_receiver_is_added_and_deleted(look: Look, daemon: Daemon) -> None:
    page = look("/jobs/reindex")
    page.get_by_text("Add a receiver").click()
    page.get_by_label("Type", exact=True).select_option("email")
    page.get_by_label("URL or mail address").fill("not an address")
    page.get_by_label("missed runs").uncheck()
    page.get_by_role("button", name="Add").click()

    expect(page.get_by_role("alert")).to_contain_text("is not a mail address")
    expect(page.get_by_label("URL or mail address")).to_have_value("not an address")
    expect(page.get_by_label("missed runs")).not_to_be_checked()
    picture(page, "receiver-refused")
    page.get_by_label("URL or mail address").fill("oncall@example.com")
    page.get_by_role("button", name="Add").click()

    expect(page.get_by_text("The receiver is added")).to_be_visible()
    (stored,) = daemon.get("/api/v1/jobs/reindex/receivers").json()["receivers"]
    assert (stored["target"], stored["on_missed"]) == ("oncall@example.com", False)
    page.get_by_role("button", name="Delete email oncall@example.com").click()
    expect(page.get_by_text("The receiver is removed.")).to_be_visible()
    assert daemon.get("/api/v1/jobs/reindex/receivers").json()["receivers"] == []


def test_a_job_that_no_file_names_is_removed(look: Look, daemon: Daemon) -> None:
    daemon.post("/ping/passing-by")
    page = look("/jobs/passing-by")
    page.get_by_text("Remove this job").click()
    page.get_by_role("button", name="Remove passing-by").click()

    expect(page.get_by_text("The job is removed.")).to_be_visible()
    assert daemon.get("/api/v1/jobs/passing-by").status == 404


def test_an_alert_appears_and_resolves_by_itself(look: Look, daemon: Daemon) -> None:
    daemon.post("/ping/flaky")
    page = look("/alerts")
    opened = page.locator("#open tr").filter(has_text="flaky")
    expect(opened).to_have_count(0)

    daemon.post("/ping/flaky", {"status": "fail", "message": "disk full"})
    refresh(page)
    expect(opened).to_contain_text("failing")
    expect(opened).to_contain_text("disk full")

    daemon.post("/ping/flaky", {"status": "ok", "message": "fixed"})
    refresh(page)
    expect(opened).to_have_count(0)
    expect(page.locator("#resolved tr").filter(has_text="flaky")).to_have_count(1)


def test_alerts_are_filtered_and_found_again_by_the_address(look: Look) -> None:
    page = look("/alerts", javascript=False)
    page.get_by_label("Condition").select_option("violated")
    page.get_by_label("Job", exact=True).fill("nightly-backup")
    page.get_by_role("button", name="Show").click()

    assert "kind=violated&severity=&job=nightly-backup" in page.url
    rows = page.locator("#open tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("rows_processed was 0, expected")
    page.get_by_role("link", name="nightly-backup").first.click()
    expect(page.get_by_role("heading", name="nightly-backup")).to_be_visible()


def test_news_come_by_themselves_and_disturb_nobody(look: Look, daemon: Daemon) -> None:
    """What is being typed, what is open, the focus and the place stay as they are."""
    for _ in range(2):
        daemon.post("/ping/live", {"status": "ok", "message": "all is well"})
    page = look("/jobs/live")
    page.locator("#run-1 summary").click()
    page.get_by_text("Add a receiver").click()
    target = page.get_by_label("URL or mail address")
    target.fill("half an addr")
    place = page.evaluate("window.scrollY")
    page.evaluate("window.isTheSame = true")

    daemon.post("/ping/live", {"status": "fail", "message": "the disk is full"})
    refresh(page)

    expect(page.locator("#head .reason")).to_contain_text("the disk is full")
    expect(page).to_have_title("live: failing · AfterRun")
    expect(page.locator("#said")).to_have_text("live: failing, failing.")
    expect(page.locator("#run-1")).to_have_attribute("open", "")
    expect(target).to_have_value("half an addr")
    expect(target).to_be_focused()
    assert page.evaluate("window.scrollY") == place
    assert page.evaluate("window.isTheSame")


def test_the_focus_stays_on_what_is_made_anew(look: Look, daemon: Daemon) -> None:
    daemon.post("/ping/focus")
    page = look("/?q=focus")
    page.get_by_role("link", name="focus", exact=True).focus()

    daemon.post("/ping/focus", {"status": "fail"})
    refresh(page)

    expect(page.locator("#jobs")).to_contain_text("failing")
    expect(page.get_by_role("link", name="focus", exact=True)).to_be_focused()


def test_it_looks_every_ten_seconds_while_it_is_seen(
    look: Look, daemon: Daemon
) -> None:
    page = look("/?q=ticking")
    page.clock.install()
    page.reload()
    daemon.post("/ping/ticking")
    page.clock.fast_forward(10_500)
    expect(page.locator("#jobs")).to_contain_text("ticking")

    hide = "Object.defineProperty(document, 'hidden', {value: true})"
    page.evaluate(f"{hide}; document.dispatchEvent(new Event('visibilitychange'))")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(60_000)
    assert asked == []


def test_a_page_that_grows_old_says_so(look: Look) -> None:
    """What was well an hour ago is no news."""
    page = look("/")
    expect(page.locator("#offline")).to_be_hidden()
    page.context.set_offline(True)
    refresh(page)
    expect(page.locator("#offline")).to_be_visible()

    page.context.set_offline(False)
    refresh(page)
    expect(page.locator("#offline")).to_be_hidden()


def test_the_keyboard_is_enough(look: Look) -> None:
    page = look("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("nightly")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=nightly*")

    page.get_by_role("link", name="nightly-backup").focus()
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(ring) == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/nightly-backup")
    page.locator("#run-29 summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#run-29 dl")).to_be_visible()


@pytest.mark.parametrize("way", ["curl", "Python"])
def test_what_is_shown_can_be_pasted(
    look: Look, daemon: Daemon, tmp_path: Path, way: str
) -> None:
    page = look("/jobs/sales-report")
    example = page.locator("details").filter(has=page.get_by_text(way, exact=True))
    code = example.locator("code").text_content() or ""
    before = daemon.get("/api/v1/jobs/sales-report").json()["runs"]
    command = ["bash", "-c", code]
    if way == "Python":
        command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        env={"PATH": "/usr/bin:/bin", "AFTERRUN_SPOOL": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stderr
    # A report that took too long on a busy machine is kept for later.
    flush = ["spool", "flush", f"--url={daemon.url}", f"--spool={tmp_path}"]
    subprocess.run([AFTERRUN, *flush, "--all", *PATIENT], check=True)
    after = daemon.get("/api/v1/jobs/sales-report").json()
    assert (after["runs"], after["last_outcome"]) == (before + 1, "ok")


def test_the_crontab_line_is_one_that_a_shell_runs(look: Look, daemon: Daemon) -> None:
    """Its report has the exit status, and the metrics that the job left behind."""
    page = look("/jobs/sales-report")
    example = page.locator("details").filter(
        has=page.get_by_text("crontab", exact=True)
    )
    line = (example.locator("code").text_content() or "").splitlines()[-1]
    command = line.partition("/opt/sales-report.sh; ")[2]
    command = command.replace("$(cat /tmp/recipients)", "212")
    assert shlex.split(command)[0] == "curl"
    subprocess.run(["sh", "-c", f"false; {command}"], check=True, timeout=PATIENCE)

    (last,) = daemon.get("/api/v1/jobs/sales-report/runs?limit=1").json()["runs"]
    assert (last["exit_code"], last["outcome"]) == (1, "fail")
    assert last["metrics"] == {"recipients": 212}


def test_a_rule_is_tried_before_it_goes_live(look: Look, daemon: Daemon) -> None:
    """A threshold is raised, and the runs that it would have flagged are shown."""
    page = look("/jobs/nightly-backup")
    page.get_by_role("textbox", name="Rules").fill("rows_processed > 140000")
    page.get_by_label("On runs of").select_option("30d")
    page.get_by_role("button", name="Try").click()

    tried = page.locator("#tried")
    expect(tried.locator(".verdict")).to_contain_text("would be flagged")
    expect(tried.get_by_text("newly flagged").first).to_be_in_viewport(ratio=0)
    expect(tried.get_by_text("rows_processed > 140000").first).to_be_visible()
    # It can be sent to somebody, and nothing has changed.
    assert "rules=rows_processed" in page.url
    assert "rows_processed > 140000" not in str(daemon.series())
    expect(page.get_by_role("textbox", name="Rules")).to_have_value(
        "rows_processed > 140000"
    )
