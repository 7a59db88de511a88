"""A daemon whose jobs have a past, and a real browser to look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    expect,
    sync_playwright,
)

from tests.e2e.daemon.daemon import Daemon
from tests.e2e.page import world
from tests.e2e.replicas.as_one import daemon_or_replicas
from tests.npm import install
from tests.patience import PATIENCE

#: As Debian has it; scripts/system-packages.sh installs it.
CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: Where pictures of the pages are kept, for people to look at.
PICTURES: Final = Path(__file__).parents[3] / "artefacts" / "screenshots"

#: Where npm installs the program that looks for barriers.
AXE: Final = Path(__file__).parents[2] / "axe"

WIDE: Final = 1280
NARROW: Final = 360

# A busy machine may need longer than the 5 s that Playwright allows.
expect.set_options(timeout=1000 * PATIENCE)

#: Opens a page of the daemon; see `look`.
Look = Callable[..., Page]


def picture(page: Page, name: str) -> None:
    """Keep a picture of the whole *page*."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the program that looks for barriers."""
    return (install(AXE) / "axe-core/axe.min.js").read_text("utf-8")


def barriers(page: Page, axe: str) -> list[str]:
    """Return what axe has to say of *page* that is serious or worse."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found: Any = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert found["passes"] is not None
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes']][:3]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Daemon]:
    """A daemon with two broken jobs and some that are not."""
    daemon = daemon_or_replicas(tmp_path_factory.mktemp("daemon"), request)
    daemon.configure(world.CONFIG)
    daemon.start()
    try:
        now = time.time()
        assert daemon.post("/ping", list(world.reports(now))).status == 200
        daemon.post("/ping/transform", {"status": "start", "run_id": "now-1"})
        yield daemon
        assert "level=error" not in daemon.log
    finally:
        daemon.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS], timeout=1000 * PATIENCE
        )
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Browser, daemon: Daemon) -> Iterator[Look]:
    """Return what opens a page.

    No page may report an error or be forbidden anything by its own policy.
    """
    wrong: list[str] = []
    contexts = []

    def broke(error: Error) -> None:
        wrong.append(str(error))

    def said(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            wrong.append(message.text)

    def open_page(
        path: str = "/",
        *,
        width: int = WIDE,
        scheme: Any = "light",
        javascript: bool = True,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=javascript,
        )
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", broke)
        page.on("console", said)
        page.goto(daemon.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
