"""From the alert to the cause: what mails of the real chain say, and where they lead."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest

from afterrun_exporter import conventions as names
from tests.patience import PATIENCE

from . import network
from .chain import url
from .conftest import Launch
from .generated import Generated, Ports, assemble
from .inbox import Inbox, Mail
from .processes import Process

CONFIG: Final = """
external_url: DAEMON
min_visible: 3s
settle: 1s
# A daemon that gets no CPU for a while must not take that for a downtime to excuse.
defaults: {severity: critical, on_downtime: alert}
alertmanager:
  smtp: {smarthost: "MAIL", require_tls: false}
  PUSH
  receivers:
    oncall: [{email: oncall@example.com}]
  group_by: [alertname, job_name]
  group_wait: 1s
  group_interval: 1s
jobs:
  missed: {every: 3s, grace: 1s}
  failing: {}
  violated: {rules: [file_size_bytes > 1MiB]}
  overrunning: {max_runtime: 1s}
  slow: {alerts: {slower_than: {factor: 2, over: 1h, min_runs: 1}}}
"""
#: Each job: what its subject says after its name, at the latest 40 characters from the
#: beginning, and what else the mail says of it.
JOBS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "missed": (names.JOB_MISSED, "no run finished", (" UTC.",)),
    "failing": (names.JOB_FAILING, "failed with exit", ("code 3", "last ok run at ")),
    "violated": (
        names.JOB_RULE_VIOLATED,
        "file_size_bytes was",
        ("was 1.2 KiB, expected > 1 MiB",),
    ),
    "overrunning": (
        names.JOB_OVERRUNNING,
        "still running, ",
        ("should have finished by ",),
    ),
    "slow": (names.JOB_SLOW, "took 1m30s, ", ("usually 10s (limit 20s)",)),
}
#: Jobs whose runs are known when their alerts are posted.
RUNS: Final = ("failing", "violated", "overrunning", "slow")

each_job = pytest.mark.parametrize("job", JOBS)


@dataclass(frozen=True, slots=True)
class Scene:
    """The chain, and the mail about each job."""

    chain: Generated
    pushes: bool
    mails: dict[str, Mail]

    def link(self, job: str, name: str) -> str:
        """Return the address of the link *name* in the mail about *job*."""
        (found,) = re.findall(rf"^  {name}: (\S+)$", self.mails[job].text, re.MULTILINE)
        return str(found)


@pytest.fixture(scope="module", params=["scraped", "pushed"])
def scene(
    request: pytest.FixtureRequest,
    launch: Launch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Scene:
    """All five go wrong at once, and somebody reads the mails."""
    directory = tmp_path_factory.mktemp("cause")
    pushes, at, smtp = request.param == "pushed", Ports(), network.free_port()
    text = CONFIG.replace("PUSH", "push_to: [ALERTMANAGER]" if pushes else "")
    text = text.replace("DAEMON", url(at.daemon))
    text = text.replace("MAIL", f"{network.LOOPBACK}:{smtp}")
    chain = assemble(directory, text, at)
    chain = replace(chain, inbox=Inbox(directory / "mails", directory / "none"))
    mails: list[str | Path] = [
        *(sys.executable, "-m", "aiosmtpd", "--nosetuid"),
        *("--listen", f"{network.LOOPBACK}:{smtp}"),
        *("--class", "aiosmtpd.handlers.Mailbox", chain.inbox.maildir),
    ]
    log = directory / "smtp.log"
    launch(Process("smtp", mails, log, partial(network.listens, smtp)))
    for process in (chain.alertmanager, chain.daemon):
        launch(process)
    if not pushes:
        launch(chain.prometheus)
    _go_wrong(chain)

    def read() -> dict[str, Mail]:
        sent = chain.inbox.sent().mails
        return {mail.job: mail for mail in reversed(sent) if mail.job in JOBS}

    network.wait_for(lambda: read().keys() == JOBS.keys())
    found = read()
    if pushes:
        # Not before: on a busy machine its alerts could be mailed first.
        launch(chain.prometheus)
    return Scene(chain, pushes, found)


def _go_wrong(chain: Generated) -> None:
    metadata = {"host": "db1.internal"}
    ping = partial(_ping, chain)
    ping("failing")
    ping("slow", duration_seconds=10)
    about: dict[str, Any] = {"run_id": "night-7", "metadata": metadata}
    ping("failing", status="fail", exit_code=3, message="disk full", **about)
    ping("violated", metrics={"file_size_bytes": 1213}, **about)
    ping("overrunning", status="start", **about)
    ping("slow", duration_seconds=90, **about)


def _ping(chain: Generated, job: str, **report: Any) -> None:
    request = urllib.request.Request(  # noqa: S310
        f"{chain.daemon_url}/ping/{job}", json.dumps(report).encode()
    )
    urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310


@each_job
def test_a_subject_gives_severity_job_and_reason(scene: Scene, job: str) -> None:
    """On the 40 characters that a phone shows."""
    _, reason, _ = JOBS[job]

    assert scene.mails[job].subject[:40].startswith(f"[CRITICAL] {job}: {reason}"[:40])


@each_job
def test_a_mail_says_what_broke_and_why_and_since_when(scene: Scene, job: str) -> None:
    _, reason, words = JOBS[job]
    mail = scene.mails[job]
    html = " ".join(unescape(re.sub(r"<[^>]+>", " ", mail.html)).split())

    first, *rest = mail.text.splitlines()
    second = next(line for line in rest if not line.startswith("  Message: "))

    assert first.startswith(f"{job}: {reason}")
    assert all(word in first for word in words), first
    # Prometheus notices a condition later, with its next evaluation.
    since = "since" if scene.pushes else "(firing in Prometheus )?since"
    assert re.fullmatch(rf"  critical, {since} 20\d\d-[-: \d]+ UTC", second)
    assert first in html
    assert second.removeprefix("  critical, ") in html


@each_job
def test_a_mail_says_which_run_it_is_about(scene: Scene, job: str) -> None:
    """Series have no such names: the page has them, one click away."""
    known = scene.pushes and job in RUNS
    page = network.get(scene.link(job, "Open job page")) or b""

    assert ("\n  host db1.internal, run night-7\n" in scene.mails[job].text) == known
    has_message = known and job == "failing"
    assert ("  Message: disk full\n" in scene.mails[job].text) == has_message
    assert scene.mails[job].subject.endswith(": disk full") == has_message
    if job in RUNS:
        assert b"night-7" in page


@each_job
def test_the_page_and_the_runbook_answer(scene: Scene, job: str) -> None:
    """The daemon serves both."""
    alert, _, _ = JOBS[job]
    page, runbook = scene.link(job, "Open job page"), scene.link(job, "Runbook")

    assert page == f"{scene.chain.daemon_url}/jobs/{job}"
    assert "<h1" in (network.get(page) or b"").decode()
    address, _, anchor = runbook.partition("#")
    assert address.startswith(scene.chain.daemon_url)
    assert anchor == alert.lower()
    assert f'id="{anchor}"' in (network.get(address) or b"").decode()


@each_job
def test_the_silence_is_of_this_alert_alone(scene: Scene, job: str) -> None:
    """Alertmanager reads the matchers, and finds what they match."""
    alert, _, _ = JOBS[job]
    filter_ = parse_qs(
        urlsplit(scene.link(job, "Silence this alert")).fragment.partition("?")[2]
    )
    matchers = filter_["filter"][0].strip("{}").split(",")
    api = f"{scene.chain.alertmanager_url}/api/v2/alerts"

    answer = network.get(f"{api}?{urlencode({'filter': matchers}, doseq=True)}")

    assert answer is not None
    found = {one["labels"]["job_name"]: one["labels"] for one in json.loads(answer)}
    assert {name: one["alertname"] for name, one in found.items()} == {job: alert}


@each_job
def test_the_graph_is_of_this_job_alone(scene: Scene, job: str) -> None:
    """Alerts that AfterRun posts itself have none: that is on the page."""
    if "  Graph: " not in scene.mails[job].text:
        assert scene.pushes
        return
    graph = urlsplit(scene.link(job, "Graph"))
    (expression,) = parse_qs(graph.query)["g0.expr"]

    series = network.query(scene.chain.prometheus_url, expression)

    assert graph.path == "/graph"
    assert {one["metric"]["job_name"] for one in series} == {job}


@each_job
def test_the_html_has_the_links_of_the_text(scene: Scene, job: str) -> None:
    mail = scene.mails[job]
    links = set(map(unescape, re.findall(r'href="([^"]+)"', mail.html)))

    for name in ("Open job page", "Runbook", "Silence this alert"):
        assert unquote(scene.link(job, name)) in set(map(unquote, links))
