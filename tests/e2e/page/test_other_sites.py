"""A real browser logs in, and no other site has it change anything here."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

import bcrypt
import pytest
import yaml
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.e2e.page.conftest import CHROMIUM, FLAGS
from tests.patience import PATIENCE
from tests.server.tls import Papers

NAME: Final = "afterrun.test"
EVIL: Final = "evil.test"
SAYS: Final = "correct horse battery staple"

CONFIG: Final = "jobs: {backup: {}}"
#: Ways in which a page has a browser ask for an address.
WAYS: Final = {
    "a picture": "<img src='{url}'>",
    "a frame": "<iframe src='{url}'></iframe>",
    "a script": "<script src='{url}'></script>",
    "a style": "<link rel=stylesheet href='{url}'>",
    "an address": "<script>location = '{url}'</script>",
    "a window": "<a id=a href='{url}'>x</a><script>a.click()</script>",
    "a request": "<script>fetch('{url}', {{mode: 'no-cors'}})</script>",
    "a form": "<form id=f action='{url}'></form><script>f.submit()</script>",
    "no referrer": (
        "<meta name=referrer content=no-referrer><iframe src='{url}'></iframe>"
    ),
    "a refresh": "<meta http-equiv=refresh content='0; url={url}'>",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser to which both names are this machine."""
    names = f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP {EVIL} 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS, names, "--no-proxy-server"],
            timeout=1000 * PATIENCE,
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def evil() -> Iterator[dict[str, str]]:
    """Another site; what is put into it is what it shows at that path."""
    pages: dict[str, str] = {}

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages[""] = f"http://{EVIL}:{server.server_port}"
    yield pages
    server.shutdown()
    server.server_close()


class Site(NamedTuple):
    """A daemon as a browser reaches it."""

    url: str
    is_locked: bool


@pytest.fixture(scope="module", params=["open", "http", "https"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A daemon that a browser reaches by a name, and how."""
    kind: str = request.param
    folder = tmp_path_factory.mktemp(kind)
    daemon = Daemon(folder)
    scheme = "https" if kind == "https" else "http"
    url = f"{scheme}://{NAME}:{daemon.port}"
    flags = [f"--web.external-url={url}"]
    if kind != "open":
        flags.append(f"--web.config.file={locks(folder, tls=kind == 'https')}")
    daemon.configure(CONFIG)
    if kind == "https":
        daemon.launch(*flags)
        wait_until(lambda: "msg=listening" in daemon.log, "it listens")
    else:
        daemon.start(*flags)
    yield Site(url, kind != "open")
    daemon.kill()


def locks(folder: Path, *, tls: bool) -> Path:
    """Write a web configuration with one user; return its path."""
    password = bcrypt.hashpw(SAYS.encode(), bcrypt.gensalt(5)).decode()
    users = yaml.safe_dump({"basic_auth_users": {"admin": password}})
    if not tls:
        path = folder / "web.yml"
        path.write_text(users)
        return path
    papers = Papers(folder)
    papers.issue("localhost")
    return papers.write(more=users)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page of the overview, after the login that the daemon asks for."""
    context = browser.new_context(
        ignore_https_errors=True,
        http_credentials={"username": "admin", "password": SAYS},
    )
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    answer = page.goto(f"{site.url}/")
    assert answer is not None
    assert answer.status == 200
    yield page
    context.close()


def test_a_person_logs_in_and_sees_the_overview(page: Page) -> None:
    assert "backup" in (page.text_content("main") or "")


def test_a_browser_without_a_password_is_asked_for_one(
    browser: Browser, site: Site
) -> None:
    """It gives up where nobody is there to be asked."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    asked = pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS")
    with asked if site.is_locked else nullcontext():
        context.new_page().goto(f"{site.url}/")
    context.close()


@pytest.mark.parametrize("way", WAYS)
def test_no_other_site_pauses_a_job(
    page: Page, site: Site, evil: dict[str, str], way: str
) -> None:
    """Clients of Cronitor pause with a GET."""
    path, there = "/api/monitors/backup/pause/1000", way.replace(" ", "-")
    evil[f"/{there}"] = WAYS[way].format(url=f"{site.url}{path}")
    # Of a response that no script reads, Chromium does not always report the end.
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url))
    page.on("requestfailed", lambda request: answered.append(request.url))
    page.goto(f"{evil['']}/{there}", wait_until="commit")
    give_up = time.monotonic() + PATIENCE
    while not any(path in url for url in answered):
        assert time.monotonic() < give_up, answered
        page.wait_for_timeout(20)

    here = site.url.replace(NAME, "127.0.0.1")
    job = page.context.request.get(f"{here}/api/v1/jobs/backup").json()
    assert job["paused_at"] is None
