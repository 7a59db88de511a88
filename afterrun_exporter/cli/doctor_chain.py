"""Checks of the daemon, of Prometheus and of Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from afterrun_exporter import __version__
from afterrun_exporter import conventions as names
from afterrun_exporter.cli.doctor_findings import (
    FAILED,
    OK,
    SKIPPED,
    BrokenError,
    Finding,
    Findings,
    Program,
    clock_finding,
)
from afterrun_exporter.cli.doctor_rules import rule_finding
from afterrun_exporter.rulegen.alerting import Data

_STARTED: Final = "process_start_time_seconds"
_CREDENTIALS: Final = "put a token of scope {} into AFTERRUN_TOKEN or --token-file (docs/security.md#tokens)"
_SCRAPE: Final = (
    "add it to the scrape_configs of prometheus.yml, and reload Prometheus: "
    '{{job_name: afterrun, static_configs: [{{targets: ["{}"]}}]}}'
)
_ALERTING: Final = (
    "add it to prometheus.yml, and reload Prometheus: "
    'alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{}"]}}]}}]}}'
)
DEFAULT_ALERTMANAGER: Final = "http://localhost:9093"
#: The beginning of the response of a daemon that does not accept requests yet.
NOT_READY: Final = "AfterRun exporter is not ready"


@dataclass(slots=True)
class DaemonFacts:
    """The daemon's own metrics, by name; the value and the labels of each."""

    metrics: dict[str, tuple[float, dict[str, str]]] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """Return the value of the metric *name*, if it is known."""
        return self.metrics[name][0] if name in self.metrics else None


def daemon_findings(daemon: Program, has_token: bool, facts: DaemonFacts) -> Findings:
    """Yield the findings about the daemon, and note its metrics in *facts*."""
    try:
        ready = daemon.request("/-/ready")
    except BrokenError as error:
        yield Finding("daemon", FAILED, error.detail, error.fix)
        return
    if ready.status != HTTPStatus.OK:
        text = ready.body.decode("utf-8", "replace").strip()
        if text.startswith(NOT_READY):
            yield Finding(
                "daemon",
                FAILED,
                f"{daemon.url}: {text}",
                "see its log; other replicas of it may be ready: check one with --url",
            )
        else:
            yield Finding(
                "daemon", FAILED, ready.problem, "see its log, or correct --url"
            )
        return
    metrics = daemon.request("/metrics")
    if metrics.status == HTTPStatus.OK:
        facts.metrics = _own_metrics(metrics.body.decode("utf-8", "replace"))
    _, labels = facts.metrics.get(names.BUILD_INFO, (1.0, {}))
    version = f" {labels['version']}" if "version" in labels else ""
    yield Finding("daemon", OK, f"AfterRun{version} answers at {daemon.url}")
    yield clock_finding(daemon)
    yield _token_finding(daemon, has_token)
    yield _configuration_finding(facts)


def _token_finding(daemon: Program, has_token: bool) -> Finding:
    response = daemon.request("/api/v1/jobs?limit=1")
    if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Finding("token", FAILED, response.problem, _CREDENTIALS.format("read"))
    if response.status != HTTPStatus.OK:
        fix = "--url may be the address of another program"
        return Finding("token", FAILED, response.problem, fix)
    return Finding(
        "token", OK, "accepted" if has_token else "none is needed for reading"
    )


def _configuration_finding(facts: DaemonFacts) -> Finding:
    link, reloaded = "configuration", facts.value(names.RELOAD_SUCCESSFUL)
    if reloaded is None:
        text = "unknown: the metrics of the daemon cannot be read at /metrics"
        return Finding(link, SKIPPED, text, _CREDENTIALS.format("scrape"))
    if not reloaded:
        fix = "`afterrun check` shows the problem; then reload"
        return Finding(link, FAILED, "the last reload was refused", fix)
    return Finding(link, OK, "loaded")


def _own_metrics(text: str) -> dict[str, tuple[float, dict[str, str]]]:
    """Return the metrics that this check needs."""
    metrics = {}
    for name in (_STARTED, names.BUILD_INFO, names.RELOAD_SUCCESSFUL):
        if match := re.search(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
            metrics[name] = (float(match[2]), labels)
    return metrics


def prometheus_findings(
    prometheus: Program, daemon: Program, facts: DaemonFacts, rules: Data
) -> Findings:
    """Yield the findings about Prometheus and what it scrapes."""
    try:
        info = prometheus.json("/api/v1/status/buildinfo")["data"]
    except BrokenError as error:
        yield Finding("Prometheus", FAILED, error.detail, error.fix)
        return
    text = f"Prometheus {info.get('version', '')} answers at {prometheus.url}"
    yield Finding("Prometheus", OK, text)
    yield clock_finding(prometheus)
    yield _scrape_finding(prometheus, daemon, facts)
    yield rule_finding(prometheus, rules, __version__)


def _scrape_finding(
    prometheus: Program, daemon: Program, facts: DaemonFacts
) -> Finding:
    link = "scrape"
    active = prometheus.json("/api/v1/targets", state="active")["data"]["activeTargets"]
    ports = {urlsplit(daemon.url).port}
    targets = [
        one
        for one in active
        if "afterrun" in one["labels"].get("job", "")
        or urlsplit(one["scrapeUrl"]).port in ports
    ]
    address = urlsplit(daemon.url).netloc
    if not targets:
        text = "Prometheus has no scrape job for AfterRun"
        return Finding(link, FAILED, text, _SCRAPE.format(address))
    for target in targets:
        if target["health"] != "up":
            return _down(target)
    odd = [one for one in targets if "afterrun" not in one["labels"].get("job", "")]
    if odd:
        text = f"the scrape job is named {odd[0]['labels'].get('job')!r}"
        fix = 'name it "afterrun": the alerting rules expect that in its name'
        return Finding(link, FAILED, text, fix)
    return _same_daemon(prometheus, targets, facts, address)


def _down(target: dict[str, Any]) -> Finding:
    url, error = target["scrapeUrl"], target["lastError"]
    if target["health"] == "unknown":
        text = f"{url} has not been scraped yet"
        return Finding("scrape", FAILED, text, "wait for a scrape_interval")
    fix = "correct the address in the scrape job, or let this host through the firewall"
    if "401" in error or "403" in error:
        fix = (
            "give the scrape job a token of scope scrape (docs/security.md#prometheus)"
        )
    elif "503" in error:
        fix = (
            "its path /-/ready and its log have the reason: its database, or the limit"
        )
    elif "x509" in error or "certificate" in error:
        fix = "set tls_config.ca_file of the scrape job (docs/security.md#prometheus)"
    return Finding("scrape", FAILED, f"{url}: {error}", fix)


def _same_daemon(
    prometheus: Program,
    targets: Sequence[dict[str, Any]],
    facts: DaemonFacts,
    address: str,
) -> Finding:
    """Return the finding about which exporter is scraped, and how often."""
    start_time = facts.value(_STARTED)
    selected = f"{_STARTED} and on (job, instance) {names.BUILD_INFO}"
    scraped = [
        sample["metric"]
        for sample in prometheus.query(selected)
        if start_time is None or abs(float(sample["value"][1]) - start_time) < 1
    ]
    if not scraped:
        urls = ", ".join(target["scrapeUrl"] for target in targets)
        text = (
            f"Prometheus scrapes {urls}, which is not this daemon, or is yet to see it"
        )
        return Finding("scrape", FAILED, text, _SCRAPE.format(address))
    if start_time is not None and len(jobs := {one["job"] for one in scraped}) > 1:
        text = f"scraped by several jobs, {', '.join(sorted(jobs))}: every alert is doubled"
        return Finding("scrape", FAILED, text, "remove all but one from prometheus.yml")
    return Finding("scrape", OK, f"{targets[0]['scrapeUrl']} is scraped")


def alertmanagers_of(
    prometheus: Program, preferred: Sequence[str]
) -> tuple[Finding, list[str]]:
    """Return the finding about Prometheus' Alertmanagers, and the URLs to check."""
    link = "Alertmanager in Prometheus"
    active = prometheus.json("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    urls = [re.sub(r"/api/v\d/alerts/?$", "", one["url"]) for one in active]
    if not urls:
        address = urlsplit((preferred or [DEFAULT_ALERTMANAGER])[0]).netloc
        text = "Prometheus has no Alertmanager"
        return Finding(link, FAILED, text, _ALERTING.format(address)), list(preferred)
    ports = {urlsplit(url).port for url in urls}
    if strange := [url for url in preferred if urlsplit(url).port not in ports]:
        text = f"Prometheus sends alerts to {', '.join(urls)}, not to {strange[0]}"
        fix = _ALERTING.format(urlsplit(strange[0]).netloc)
        return Finding(link, FAILED, text, fix), list(preferred)
    return Finding(link, OK, f"it sends alerts to {', '.join(urls)}"), list(
        preferred
    ) or urls


def alertmanager_findings(alertmanager: Program) -> Findings:
    """Yield the findings about one Alertmanager."""
    try:
        status = alertmanager.json("/api/v2/status")
    except BrokenError as error:
        yield Finding("Alertmanager", FAILED, error.detail, error.fix)
        return
    version = status.get("versionInfo", {}).get("version", "")
    text = f"Alertmanager {version} answers at {alertmanager.url}"
    yield Finding("Alertmanager", OK, text)
    yield clock_finding(alertmanager)
