"""Findings of `afterrun doctor` that need no other programs; the others: tests/e2e."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from afterrun_exporter.cli.doctor_chain import DaemonFacts, daemon_findings
from afterrun_exporter.cli.doctor_findings import Program, clock_finding
from afterrun_exporter.cli.doctor_rules import rule_finding
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.clock import SystemClock

WATCHDOG: Final = {
    "name": "AfterRunWatchdog",
    "type": "alerting",
    "query": "vector(1)",
}
UNORDERED: Final = "out of order sample"


class Skewed(BaseHTTPRequestHandler):
    """Answers with a clock that is ahead."""

    ahead = 0.0
    status = 200
    body = b""

    def do_GET(self) -> None:
        self.send_response_only(self.status)
        self.send_header(
            "Date", formatdate(SystemClock().now() + self.ahead, usegmt=True)
        )
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    running = HTTPServer(("127.0.0.1", 0), handler)
    Thread(target=running.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()


@pytest.fixture
def server() -> Iterator[str]:
    with serving(Skewed) as url:
        yield url


@pytest.mark.parametrize(
    ("ahead", "status", "detail"),
    [
        (0.0, "ok", "within 5 s of the clock of this host"),
        (3.0, "ok", "within 5 s of the clock of this host"),
        (3600.5, "failed", "3600 s ahead of the clock of this host"),
        (-90.5, "failed", "90 s behind the clock of this host"),
    ],
)
def test_a_clock_that_differs_is_found(
    server: str,
    ahead: float,
    status: str,
    detail: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The clock of both sides: time that passes counts as a difference.
    monkeypatch.setattr(SystemClock, "now", lambda _: 1_800_000_000.0)
    monkeypatch.setattr(Skewed, "ahead", ahead)
    program = Program("AfterRun", server, "--url")
    program.request("/")

    finding = clock_finding(program)

    assert (finding.status, finding.link) == (status, "clock of AfterRun")
    assert finding.detail == detail
    assert bool(finding.fix) == (status == "failed")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--webhook", "x"], "write it like localhost:10709"),
        (["--config.file", "missing.yml"], "missing.yml"),
        (["--timeout", "soon"], "is not a duration"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    options: list[str], problem: str
) -> None:
    result = CliRunner().invoke(afterrun, ["doctor", "--json", *options])

    assert result.exit_code in {1, 2}
    assert problem in result.stderr


def test_a_daemon_that_is_not_ready_gives_the_reason(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "AfterRun exporter is not ready: the database was last read 7 s ago."
    monkeypatch.setattr(Skewed, "status", 503)
    monkeypatch.setattr(Skewed, "body", f"{text}\n".encode())

    finding, *others = daemon_findings(
        Program("AfterRun", server, "--url"), False, DaemonFacts()
    )

    assert (finding.status, others) == ("failed", [])
    assert finding.detail == f"{server}: {text}"


class Loaded(Skewed):
    """Answers as Prometheus, which has loaded the rules of a file twice."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query).get("query", [""])[0]
        groups = {
            "groups": [{"rules": [WATCHDOG | {"lastError": UNORDERED}, WATCHDOG]}]
        }
        data = query if "format_query" in self.path else groups
        self.send_response_only(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": data}).encode())


def test_rules_loaded_twice_are_found_before_the_errors_that_this_causes() -> None:
    """Seen: the copies wrote out of order, and the detail was that error alone."""
    rule = {"alert": WATCHDOG["name"], "expr": WATCHDOG["query"]}
    file = {"groups": [{"name": "afterrun", "rules": [rule]}]}

    with serving(Loaded) as url:
        finding = rule_finding(Program("Prometheus", url, "--prometheus"), file, "1")

    assert finding.detail == "AfterRunWatchdog is loaded more than once"
