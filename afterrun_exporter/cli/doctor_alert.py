"""A test alert on its way from the daemon to Alertmanager and to a webhook."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.cli.doctor_findings import (
    FAILED,
    OK,
    BrokenError,
    Finding,
    Findings,
    Program,
)

LINK: Final = "test alert"
_FIRING: Final = f'ALERTS{{alertname="{names.TEST}", alertstate="firing"}}'
#: Seconds between two looks at it.
_PAUSE: Final = 0.5


class Webhook:
    """A receiver of Alertmanager's notifications."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        host, port = server.server_address[:2]
        self.address = f"{host!s}:{port}"
        #: Set once a notification of the test alert is received.
        self.notified = Event()


@contextmanager
def listening(host: str, port: int) -> Iterator[Webhook]:
    """Receive notifications at *host* and *port*; raise OSError if that is impossible."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if names.TEST.encode() in self.rfile.read(length):
                webhook.notified.set()
            self.send_response(HTTPStatus.OK)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer((host, port), Handler)
    webhook = Webhook(server)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield webhook
    finally:
        server.shutdown()
        server.server_close()


def test_alert_findings(
    daemon: Program,
    prometheus: Program,
    alertmanagers: Sequence[Program],
    severity: str,
    patience: float,
    webhook: Webhook | None,
) -> Findings:
    """Open a test alert, and yield the findings about where it arrives."""
    before = {one.url: set(_updates(one)) for one in alertmanagers}
    lasts = int(min(max(2 * patience, 60), 3600))
    body = json.dumps({"severity": severity, "for": f"{lasts}s"}).encode()
    response = daemon.request("/api/v1/alerts/test", "POST", body)
    if response.status != HTTPStatus.ACCEPTED:
        fix = "correct --severity, or use --no-test-alert"
        if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            fix = (
                "put a token of scope admin into AFTERRUN_TOKEN or --token-file, or use "
                "--no-test-alert"
            )
        yield Finding(LINK, FAILED, response.problem, fix)
        return
    began = time.monotonic()
    until = began + patience
    if not _wait(lambda: prometheus.query(_FIRING), until):
        yield Finding(
            f"{LINK} in Prometheus",
            FAILED,
            f"{names.TEST} does not fire after {patience:g} s",
            "see the links above; a long scrape_interval or evaluation_interval needs a "
            "longer --timeout",
        )
        return
    yield Finding(f"{LINK} in Prometheus", OK, f"fires after {_since(began)}")
    for alertmanager in alertmanagers:
        earlier = before[alertmanager.url]
        arrived = _wait(lambda: _new(alertmanager, earlier), until)  # noqa: B023
        yield _arrival(alertmanager, arrived, began, patience)
    if webhook is not None:
        yield _notification(webhook, until, began, patience)


def _arrival(
    alertmanager: Program, alerts: list[dict[str, Any]], began: float, patience: float
) -> Finding:
    link = f"{LINK} in Alertmanager"
    if not alerts:
        return Finding(
            link,
            FAILED,
            f"{alertmanager.url} has not received it after {patience:g} s",
            "see the log of Prometheus for errors of sending, and alert_relabel_configs "
            "and alertmanagers in prometheus.yml",
        )
    status = alerts[0]["status"]
    for how in ("silenced", "inhibited"):
        if by := status.get(f"{how}By"):
            text = f"received, and {how} by {', '.join(by)}: nobody is notified"
            fix = f"see {alertmanager.url}/#/silences and its inhibit_rules"
            return Finding(link, FAILED, text, fix)
    receivers = sorted({one["name"] for alert in alerts for one in alert["receivers"]})
    words = (
        f"received after {_since(began)}, for {', '.join(receivers) or 'no receiver'}"
    )
    return Finding(link, OK, words)


def _notification(
    webhook: Webhook, until: float, began: float, patience: float
) -> Finding:
    link = "notification"
    if webhook.notified.wait(max(0.0, until - time.monotonic())):
        return Finding(link, OK, f"received by the webhook after {_since(began)}")
    return Finding(
        link,
        FAILED,
        f"the webhook at {webhook.address} has not received it after {patience:g} s",
        f"route it there: webhook_configs: [{{url: http://{webhook.address}/}}] in a "
        "receiver of alertmanager.yml; a long group_wait needs a longer --timeout",
    )


def _new(alertmanager: Program, earlier: set[str]) -> list[dict[str, Any]]:
    """Return the test alerts that were updated since *earlier* was true."""
    return [one for one in _tests(alertmanager) if one["updatedAt"] not in earlier]


def _updates(alertmanager: Program) -> Iterator[str]:
    for alert in _tests(alertmanager):
        yield alert["updatedAt"]


def _tests(alertmanager: Program) -> list[dict[str, Any]]:
    which = f'alertname="{names.TEST}"'
    alerts: list[dict[str, Any]] = alertmanager.json("/api/v2/alerts", filter=which)
    return alerts


def _wait(
    condition: Callable[[], list[dict[str, Any]]], until: float
) -> list[dict[str, Any]]:
    """Return the result of *condition*, once it is not empty or the time is over."""
    while True:
        try:
            alerts = condition()
        except BrokenError:
            alerts = []
        if alerts or time.monotonic() >= until:
            return alerts
        time.sleep(_PAUSE)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"
