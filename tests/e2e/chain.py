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
    alertmanager_url: str
    #: What has come out at the far end.
    inbox: Inbox


@dataclass(frozen=True, slots=True)
class Pace:
    """How often Prometheus and Alertmanager do what they do."""

    scrape: str = INTERVAL
    evaluation: str = INTERVAL
    #: The least time between two posts of one alert.
    resend: str = "1m"
    #: Alertmanager's, before the first message of a group.
    group_wait: str = INTERVAL


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each program of the chain listens."""

    daemon: int
    prometheus: int
    alertmanager: int
    smtp: int
    webhook: int


def assemble(
    directory: Path, config: Path, pace: Pace = Pace(), storage: str = ""
) -> Chain:
    """Return the chain for *config*, an afterrun.yml; its files are in *directory*.

    *storage* is the URL of a database; without one, it is a file.
    """
    at = Addresses(*(network.free_port() for _ in range(5)))
    inbox = Inbox(directory / "mails", directory / "webhook.jsonl")
    return Chain(
        daemon=daemon(directory, config, at.daemon, storage),
        prometheus=_prometheus(directory, at, pace),
        alertmanager=_alertmanager(directory, at, pace),
        mail_server=_mail_server(directory, at.smtp, inbox.maildir),
        webhook_receiver=webhook_receiver(directory, at.webhook, inbox.posted),
        daemon_url=url(at.daemon),
        prometheus_url=url(at.prometheus),
        alertmanager_url=url(at.alertmanager),
        inbox=inbox,
    )


def daemon(directory: Path, config: Path, port: int, storage: str = "") -> Process:
    """Return the daemon, as `afterrun serve` starts it."""
    script = Path(sys.executable).with_name("afterrun")
    if not script.exists():
        pytest.fail(f"{script} is missing: run make test, it installs the package")
    command: list[str | Path] = [
        script,
        "serve",
        f"--config.file={config}",
        f"--storage.path={storage or directory / 'afterrun.db'}",
        f"--web.listen-address={network.LOOPBACK}:{port}",
    ]
    return _program("afterrun", command, directory, f"{url(port)}/-/ready")


def _prometheus(directory: Path, at: Addresses, pace: Pace) -> Process:
    """Return Prometheus with the shipped configuration and rules."""
    config = prometheus_config(
        directory, RULES, at.daemon, at.prometheus, at.alertmanager, pace
    )
    resend = f"--rules.alert.resend-delay={pace.resend}"
    return prometheus(directory, config, at.prometheus, [resend])


def prometheus_config(
    directory: Path,
    rules: Path,
    daemon: int,
    prometheus: int,
    alertmanager: int,
    pace: Pace = Pace(),
) -> Path:
    """Return the shipped configuration, pointed at these ports and *rules*."""
    shipped = Shipped(PROMETHEUS)
    shipped.key("scrape_interval", pace.scrape)
    shipped.key("evaluation_interval", pace.evaluation)
    shipped.value("../rules/afterrun.rules.yml", str(rules))
    shipped.value("localhost:10707", f"{network.LOOPBACK}:{daemon}")
    shipped.value("localhost:9090", f"{network.LOOPBACK}:{prometheus}")
    shipped.value("localhost:9093", f"{network.LOOPBACK}:{alertmanager}")
    return shipped.write(directory / "prometheus.yml")


def prometheus(
    directory: Path, config: Path, port: int, flags: Sequence[str] = ()
) -> Process:
    """Return Prometheus with *config*."""
    command: list[str | Path] = [
        installed("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={network.LOOPBACK}:{port}",
        *flags,
    ]
    return _program("prometheus", command, directory, f"{url(port)}/-/ready")


def _alertmanager(directory: Path, at: Addresses, pace: Pace) -> Process:
    slack = directory / "slack_url"
    slack.write_text(f"{url(at.webhook)}/slack")
    shipped = Shipped(ALERTMANAGER)
    shipped.key("group_wait", pace.group_wait)
    shipped.key("group_interval", INTERVAL)
    shipped.value("templates/*.tmpl", f"{TEMPLATES}/*.tmpl")
    shipped.value("localhost:25", f"{network.LOOPBACK}:{at.smtp}")
    shipped.value("http://localhost:9095/alerts", f"{url(at.webhook)}/alerts")
    shipped.value("secrets/slack_url", str(slack))
    config = shipped.write(directory / "alertmanager.yml")
    return alertmanager(directory, config, at.alertmanager)


def alertmanager(directory: Path, config: Path, port: int) -> Process:
    """Return Alertmanager with *config*."""
    command: list[str | Path] = [
        installed("prometheus-alertmanager", "alertmanager"),
        f"--config.file={config}",
        f"--storage.path={directory / 'alertmanager-data'}",
        f"--web.listen-address={network.LOOPBACK}:{port}",
        "--cluster.listen-address=",
    ]
    return _program("alertmanager", command, directory, f"{url(port)}/-/ready")


def _mail_server(directory: Path, port: int, maildir: Path) -> Process:
    command: list[str | Path] = [
        *(sys.executable, "-m", "aiosmtpd", "--nosetuid"),
        *("--listen", f"{network.LOOPBACK}:{port}"),
        *("--class", "aiosmtpd.handlers.Mailbox", maildir),
    ]
    log = directory / "smtp.log"
    return Process("smtp", command, log, partial(network.listens, port))


def webhook_receiver(directory: Path, port: int, file: Path) -> Process:
    script = Path(__file__).with_name("webhook_receiver.py")
    command: list[str | Path] = [sys.executable, script, str(port), file]
    log = directory / "webhook.log"
    return Process("webhook", command, log, partial(network.listens, port))


def _program(
    name: str, command: Sequence[str | Path], directory: Path, ready: str
) -> Process:
    log = directory / f"{name}.log"
    return Process(name, command, log, lambda: network.get(ready) is not None)


def url(port: int) -> str:
    return f"http://{network.LOOPBACK}:{port}"
