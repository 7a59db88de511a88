"""`afterrun doctor`: check the chain from the daemon to Alertmanager."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from afterrun_exporter import config as configs
from afterrun_exporter.cli import client
from afterrun_exporter.cli.doctor_alert import (
    LINK,
    Webhook,
    listening,
    test_alert_findings,
)
from afterrun_exporter.cli.doctor_chain import (
    DaemonFacts,
    alertmanager_findings,
    alertmanagers_of,
    daemon_findings,
    prometheus_findings,
)
from afterrun_exporter.cli.doctor_findings import (
    FAILED,
    OK,
    SKIPPED,
    BrokenError,
    Finding,
    Program,
)
from afterrun_exporter.cli.flags import DURATION
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.client.settings import find_token
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.rulegen import prometheus as rulegen
from afterrun_exporter.rulegen.alerting import Data
from afterrun_exporter.server import addresses

_STYLES: Final = {OK: "green", FAILED: "red", SKIPPED: "yellow"}
_WIDTH: Final = 28


@click.command()
@client.url_option
@client.token_option
@click.option(
    "--prometheus",
    "prometheus_url",
    envvar="AFTERRUN_PROMETHEUS",
    default="http://localhost:9090",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="URL of Prometheus.",
)
@click.option(
    "--alertmanager",
    "alertmanager_urls",
    multiple=True,
    metavar="URL",
    help="URL of Alertmanager; may be repeated.  [default: those of Prometheus]",
)
@click.option(
    "--config.file",
    "config_file",
    type=PathType(),
    help="The configuration of the daemon, to compare the alerting rules exactly.",
)
@click.option(
    "--no-test-alert",
    "test_alert",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Open no test alert to follow to Alertmanager.",
)
@click.option(
    "--severity",
    default="info",
    show_default=True,
    help="Severity of the test alert: its route decides who is notified.",
)
@click.option(
    "--webhook",
    "webhook_address",
    metavar="HOST:PORT",
    help="Listen here for the notification of the test alert, as a webhook receiver.",
)
@click.option(
    "--timeout",
    type=DURATION,
    default=90.0,
    show_default="90s",
    help="How long to wait for the test alert.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(
    url: str,
    token_file: str | None,
    prometheus_url: str,
    alertmanager_urls: tuple[str, ...],
    config_file: Path | None,
    test_alert: bool,
    severity: str,
    webhook_address: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Check each link of the chain: daemon, Prometheus, Alertmanager, test alert.

    For each broken link it prints what is missing and the way out. Exits with 1 if
    there is one.
    """
    token = find_token(os.environ, token_file, client.warn)
    try:
        config = configs.load(config_file) if config_file else configs.default()
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    daemon = Program("AfterRun", url, "--url or AFTERRUN_URL", token)
    prometheus = Program("Prometheus", prometheus_url, "--prometheus")
    rules = rulegen.rules_file(config.jobs.values(), config.hash)
    chain = _Chain(daemon, prometheus, alertmanager_urls, quiet=as_json)
    with ExitStack() as stack:
        webhook = _webhook(stack, webhook_address)
        chain.check(bool(token), rules)
        if test_alert:
            chain.follow(severity, timeout, webhook)
    broken = sum(one.status == FAILED for one in chain.findings)
    if as_json:
        links = [asdict(one) for one in chain.findings]
        client.echo_json({"ok": not broken, "links": links})
    else:
        words = plural(broken, "link is", "links are") if broken else "no links are"
        click.echo(f"\n{words} broken")
    if broken:
        raise click.exceptions.Exit(1)


class _Chain:
    """The programs of the chain, and the findings about its links."""

    def __init__(
        self,
        daemon: Program,
        prometheus: Program,
        alertmanager_urls: Sequence[str],
        *,
        quiet: bool,
    ) -> None:
        self._daemon, self._prometheus = daemon, prometheus
        self._alertmanager_urls, self._quiet = alertmanager_urls, quiet
        self._alertmanagers: list[Program] = []
        self.findings: list[Finding] = []

    def check(self, has_token: bool, rules: Data) -> None:
        """Check each program and how the next one is connected."""
        facts = DaemonFacts()
        self._add("daemon", daemon_findings(self._daemon, has_token, facts))
        self._add(
            "Prometheus",
            prometheus_findings(self._prometheus, self._daemon, facts, rules),
        )
        urls = list(self._alertmanager_urls)
        try:
            finding, urls = alertmanagers_of(self._prometheus, urls)
        except BrokenError:
            text = "Prometheus does not answer"
            finding = Finding("Alertmanager in Prometheus", SKIPPED, text)
        self._add("", [finding])
        self._alertmanagers = [
            Program("Alertmanager", url, "--alertmanager") for url in urls
        ]
        for alertmanager in self._alertmanagers:
            self._add("Alertmanager", alertmanager_findings(alertmanager))

    def follow(self, severity: str, patience: float, webhook: Webhook | None) -> None:
        """Open a test alert, unless a link is broken, and follow it."""
        if any(one.status == FAILED for one in self.findings):
            text = "not opened, because a link is broken"
            self._add("", [Finding(LINK, SKIPPED, text)])
            return
        programs = self._daemon, self._prometheus, self._alertmanagers
        findings = test_alert_findings(*programs, severity, patience, webhook)
        self._add(LINK, findings)

    def _add(self, link: str, findings: Iterable[Finding]) -> None:
        """Add *findings*, and one about *link* if a request fails meanwhile."""
        try:
            for finding in findings:
                self._note(finding)
        except BrokenError as error:
            self._note(Finding(link, FAILED, error.detail, error.fix))

    def _note(self, finding: Finding) -> None:
        self.findings.append(finding)
        if self._quiet:
            return
        status = click.style(f"{finding.status:<7}", fg=_STYLES[finding.status])
        click.echo(f"{status}  {finding.link:<{_WIDTH}}{finding.detail}")
        if finding.status == FAILED and finding.fix:
            click.echo(f"{'':9}{'':<{_WIDTH}}-> {finding.fix}")


def _webhook(stack: ExitStack, text: str | None) -> Webhook | None:
    if text is None:
        return None
    try:
        address = addresses.parse(text)
    except ValueError:
        raise click.UsageError(
            f"--webhook {text!r} is not an address: write it like localhost:10709"
        ) from None
    try:
        return stack.enter_context(listening(address.host or "", address.port))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {text}: {error.strerror}"
        ) from None
