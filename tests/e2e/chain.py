"""The whole chain: daemon, Prometheus, Alertmanager, mail server, webhook receiver."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from . import network
from .inbox import Inbox
from .processes import Process, installed
from .shipped import ALERTMANAGER, PROMETHEUS, RULES, TEMPLATES, Shipped

#: In place of the minutes that people configure.
INTERVAL: Final = "1s"


@dataclass(frozen=True, slots=True)
class Chain:
    """The programs, and where they are. None is running yet."""

    daemon: Process
    prometheus: Process
    alertmanager: Process
    mail_server: Process
    webhook_receiver: Process

    #: Jobs report to /ping/JOB below it.
    daemon_url: str
    prometheus_url: str
    #: What has come out at the far end.
    inbox: Inbox


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each program of the chain listens."""

    daemon: int
    prometheus: int
    alertmanager: int
    smtp: int
    webhook: int


def assemble(directory: Path, config: Path) -> Chain:
    """Return the chain for *config*, an afterrun.yml; its files are in *directory*."""
    at = Addresses(*(network.free_port() for _ in range(5)))
    inbox = Inbox(directory / "mails", directory / "webhook.jsonl")
    return Chain(
        daemon=_daemon(directory, config, at.daemon),
        prometheus=_prometheus(directory, at),
        alertmanager=_alertmanager(directory, at),
        mail_server=_mail_server(directory, at.smtp, inbox.maildir),
        webhook_receiver=_webhook_receiver(directory, at.webhook, inbox.posted),
        daemon_url=_url(at.daemon),
        prometheus_url=_url(at.prometheus),
        inbox=inbox,
    )


def _daemon(directory: Path, config: Path, port: int) -> Process:
    """Return the daemon, as `afterrun serve` starts it."""
    script = Path(sys.executable).with_name("afterrun")
    if not script.exists():
        pytest.fail(f"{script} is missing: run make test, it installs the package")
    command: list[str | Path] = [
        script,
        "serve",
        f"--config.file={config}",
        f"--storage.path={directory / 'afterrun.db'}",
        f"--web.listen-address={network.LOOPBACK}:{port}",
    ]
    return _program("afterrun", command, directory, f"{_url(port)}/-/ready")


def _prometheus(directory: Path, at: Addresses) -> Process:
    """Return Prometheus with the shipped configuration and rules."""
    shipped = Shipped(PROMETHEUS)
    shipped.key("scrape_interval", INTERVAL)
    shipped.key("evaluation_interval", INTERVAL)
    shipped.value("../rules/afterrun.rules.yml", str(RULES))
    shipped.value("localhost:10707", f"{network.LOOPBACK}:{at.daemon}")
    shipped.value("localhost:9090", f"{network.LOOPBACK}:{at.prometheus}")
    shipped.value("localhost:9093", f"{network.LOOPBACK}:{at.alertmanager}")
    command: list[str | Path] = [
        installed("prometheus"),
        f"--config.file={shipped.write(directory / 'prometheus.yml')}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={network.LOOPBACK}:{at.prometheus}",
    ]
    ready = f"{_url(at.prometheus)}/-/ready"
    return _program("prometheus", command, directory, ready)


def _alertmanager(directory: Path, at: Addresses) -> Process:
    slack = directory / "slack_url"
    slack.write_text(f"{_url(at.webhook)}/slack")
    shipped = Shipped(ALERTMANAGER)
    shipped.key("group_wait", INTERVAL)
    shipped.key("group_interval", INTERVAL)
    shipped.value("templates/*.tmpl", f"{TEMPLATES}/*.tmpl")
    shipped.value("localhost:25", f"{network.LOOPBACK}:{at.smtp}")
    shipped.value("http://localhost:9095/alerts", f"{_url(at.webhook)}/alerts")
    shipped.value("secrets/slack_url", str(slack))
    command: list[str | Path] = [
        installed("prometheus-alertmanager", "alertmanager"),
        f"--config.file={shipped.write(directory / 'alertmanager.yml')}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={network.LOOPBACK}:{at.alertmanager}",
        "--cluster.listen-address=",
    ]
    ready = f"{_url(at.alertmanager)}/-/ready"
    return _program("alertmanager", command, directory, ready)


def _mail_server(directory: Path, port: int, maildir: Path) -> Process:
    command: list[str | Path] = [
        *(sys.executable, "-m", "aiosmtpd", "--nosetuid"),
        *("--listen", f"{network.LOOPBACK}:{port}"),
        *("--class", "aiosmtpd.handlers.Mailbox", maildir),
    ]
    log = directory / "smtp.log"
    return Process("smtp", command, log, partial(network.listens, port))


def _webhook_receiver(directory: Path, port: int, file: Path) -> Process:
    script = Path(__file__).with_name("webhook_receiver.py")
    command: list[str | Path] = [sys.executable, script, str(port), file]
    log = directory / "webhook.log"
    return Process("webhook", command, log, partial(network.listens, port))


def _program(
    name: str, command: Sequence[str | Path], directory: Path, ready: str
) -> Process:
    log = directory / f"{name}.log"
    return Process(name, command, log, lambda: network.get(ready) is not None)


def _url(port: int) -> str:
    return f"http://{network.LOOPBACK}:{port}"
