"""A storm from end to end: a daemon, Prometheus, Alertmanager and a webhook."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from afterrun_exporter import conventions as names
from tests.e2e import chain, generated, network
from tests.e2e.generated import Ports
from tests.e2e.processes import Process
from tests.patience import PATIENCE

from . import findings
from .findings import Findings
from .fleet import Fleet, batches

#: How alerts come to Alertmanager.
RULES: Final = "rules"
PUSH: Final = "push"
BOTH: Final = "both"
WAYS: Final = (RULES, PUSH, BOTH)

#: From the first evaluation to the message.
WITHIN: Final = 90.0

#: Starts a program that ends with the storm.
Launch = Callable[[Process], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often programs do what they do, in seconds."""

    #: Scrapes and evaluations.
    interval: int
    group_wait: int
    group_interval: int
    #: An alert that Prometheus drops for four times as long resolves.
    resend: int


#: As shipped.
REAL: Final = Pace(interval=15, group_wait=30, group_interval=300, resend=60)
QUICK: Final = Pace(interval=2, group_wait=20, group_interval=10, resend=10)


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens, and by which ways it is told."""

    fleet: Fleet
    way: str
    #: How many targets Prometheus scrapes the jobs in.
    shards: int = 1
    pace: Pace = QUICK
    #: Alerts that Prometheus queues for Alertmanager; as the documents advise if None.
    queue: int | None = None
    #: Whether the windows and waits of alerting rules are seconds.
    shorten: bool = False

    @property
    def has_rules(self) -> bool:
        return self.way != PUSH


class Storm:
    """The programs of a plan, from their start to what the webhook was told."""

    def __init__(self, directory: Path, plan: Plan, launch: Launch) -> None:
        self.plan = plan
        self.at = Ports()
        self.posted = directory / "webhook.jsonl"
        self._launch = launch
        self._directory = directory
        config = directory / "afterrun.yml"
        config.write_text(plan.fleet.config(self._alertmanager()))
        generated.generate(directory, config, shorten=plan.shorten)
        self.daemon = chain.daemon(directory, config, self.at.daemon)
        self.prometheus = chain.prometheus(
            directory, self._prometheus(), self.at.prometheus, self._flags()
        )
        self.alertmanager = chain.alertmanager(
            directory, directory / "alertmanager/alertmanager.yml", self.at.alertmanager
        )
        self._webhook = chain.webhook_receiver(directory, self.at.webhook, self.posted)

    def begin(self) -> None:
        """Start all programs, register all jobs, and wait until they are watched."""
        fleet = self.plan.fleet
        for process in (self._webhook, self.alertmanager, self.daemon):
            self._launch(process)
        self._report([*fleet.broken, *fleet.healthy], "ok")
        if not self.plan.has_rules:
            return
        self._launch(self.prometheus)
        every = f"count({names.FAILING}) == {fleet.size}"
        watchdog = f'ALERTS{{alertname="{names.WATCHDOG}"}}'
        # Until Prometheus has scraped and evaluated everything.
        patience = PATIENCE * max(1, self.plan.pace.interval // REAL.interval)
        assert self._wait_for(lambda: bool(self.query(every)), patience), every
        assert self._wait_for(lambda: bool(self.query(watchdog)), patience), watchdog

    def strike(self) -> float:
        """Let the failing jobs fail; return how long their reports took."""
        begin = time.monotonic()
        self._report(self.plan.fleet.broken, "fail")
        return time.monotonic() - begin

    def wait(self, patience: float, quiet: float) -> Findings:
        """Wait until all roots are told, and for *quiet* seconds more; return it all."""
        roots = self.plan.fleet.roots
        read = 0

        def all_told() -> bool:
            nonlocal read
            size = self.posted.stat().st_size if self.posted.exists() else 0
            # Tens of megabytes are not read again for nothing.
            grown, read = size > read, size
            return grown and roots <= findings.read(self.posted).told.keys()

        self._wait_for(all_told, patience)
        time.sleep(quiet)
        return findings.read(self.posted)

    def stop(self) -> None:
        """End all programs."""
        for process in (self.prometheus, self.daemon, self.alertmanager, self._webhook):
            process.stop()

    def query(self, expression: str) -> list[float]:
        """Return the values that Prometheus answers."""
        found = network.query(chain.url(self.at.prometheus), expression)
        return [float(series["value"][1]) for series in found]

    def metric(self, name: str) -> list[float]:
        """Return the values of a metric of Prometheus itself, as it is now."""
        url = f"{chain.url(self.at.prometheus)}/metrics"
        # A busy one does not answer at once, and no answer is no zero.
        text = network.wait_for(lambda: network.get(url), PATIENCE)
        assert text is not None, f"{url} does not answer"
        found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text.decode(), re.MULTILINE)
        return [float(value) for value in found]

    def _wait_for(self, condition: Callable[[], bool], patience: float) -> bool:
        """Return whether *condition* came true; asking costs those who are measured."""
        until = time.monotonic() + patience
        while not (came := condition()) and time.monotonic() < until:
            time.sleep(self.plan.pace.interval / 10)
        return came

    def _report(self, jobs: Sequence[str], status: str) -> None:
        connection = http.client.HTTPConnection(network.LOOPBACK, self.at.daemon)
        for body in batches(jobs, status):
            connection.request("POST", "/ping", body)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
        connection.close()

    def _alertmanager(self) -> str:
        pace = self.plan.pace
        push = f"  push_to: [{chain.url(self.at.alertmanager)}]\n"
        hook = f"{chain.url(self.at.webhook)}/alerts"
        return (
            f"  receivers: {{hook: [{{webhook: {{url: '{hook}'}}}}]}}\n"
            "  receiver: hook\n"
            f"  group_wait: {pace.group_wait}s\n"
            f"  group_interval: {pace.group_interval}s\n"
        ) + (push if self.plan.way != RULES else "")

    def _flags(self) -> list[str]:
        queue = self.plan.queue
        size = 2 * self.plan.fleet.size if queue is None else queue
        return [
            f"--rules.alert.resend-delay={self.plan.pace.resend}s",
            f"--alertmanager.notification-queue-capacity={size}",
        ]

    def _prometheus(self) -> Path:
        interval = f"{self.plan.pace.interval}s"
        daemon = f"{network.LOOPBACK}:{self.at.daemon}"
        targets = f"http://{daemon}/-/targets?shards={self.plan.shards}"
        jobs: dict[str, Any] = {"static_configs": [{"targets": [daemon]}]}
        if self.plan.shards > 1:
            jobs = {"http_sd_configs": [{"url": targets, "refresh_interval": "5s"}]}
        prometheus = f"{network.LOOPBACK}:{self.at.prometheus}"
        alertmanager = f"{network.LOOPBACK}:{self.at.alertmanager}"
        file = self._directory / "prometheus.yml"
        document = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(self._directory / generated.RULES)],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]
            },
            "scrape_configs": [
                {"job_name": "afterrun", **jobs},
                {
                    "job_name": "prometheus",
                    "static_configs": [{"targets": [prometheus]}],
                },
            ],
        }
        file.write_text(yaml.safe_dump(document))
        return file
