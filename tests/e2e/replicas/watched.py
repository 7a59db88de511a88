"""Replicas that Prometheus and Alertmanager watch, and jobs that report to them."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle, pairwise
from pathlib import Path
from typing import Any, Final

import yaml

from afterrun_exporter import conventions as names
from tests.e2e import chain, network
from tests.e2e.daemon.daemon import wait_until
from tests.e2e.generated import Ports, generate
from tests.e2e.inbox import Inbox
from tests.e2e.network import query
from tests.e2e.processes import Process
from tests.e2e.replicas.asking import ask
from tests.e2e.replicas.replica import Replicas, elapse
from tests.patience import PATIENCE

#: How often Prometheus scrapes and evaluates, and jobs report.
EVERY: Final = 1.0

CONFIG: Final = """\
settle: {settle}
min_visible: 1s
alertmanager:
  push_to: [ALERTMANAGER]
  receivers:
    hook: [{{webhook: {{url: HOOK}}}}]
  group_by: [alertname, job_name]
  group_wait: 0s
jobs:
{jobs}
"""

FIRING: Final = f'ALERTS{{{names.JOB}!="",alertstate="firing"}}'

#: An alerting rule and a job.
Alert = tuple[str, str]


class Watched:
    """The chain from replicas to a webhook. Nothing is running yet."""

    def __init__(
        self, folder: Path, replicas: Replicas, settle: str, jobs: dict[str, str]
    ) -> None:
        self.replicas = replicas
        self._at = Ports()
        self._began = time.time()
        lines = "\n".join(f"  {name}: {{{text}}}" for name, text in jobs.items())
        text = CONFIG.format(settle=settle, jobs=lines)
        hook = f"{chain.url(self._at.webhook)}/alerts"
        text = text.replace("HOOK", hook)
        text = text.replace("ALERTMANAGER", chain.url(self._at.alertmanager))
        config = folder / "afterrun.yml"
        config.write_text(text)
        replicas.configure(text)
        # The windows stay as they are: what they remember for minutes must not show.
        generate(folder, config, shorten=False)
        posted = folder / "webhook.jsonl"
        self.inbox = Inbox(folder / "mails", posted)
        alerting = folder / "alertmanager/alertmanager.yml"
        self.programs: tuple[Process, ...] = (
            chain.webhook_receiver(folder, self._at.webhook, posted),
            chain.alertmanager(folder, alerting, self._at.alertmanager),
            chain.prometheus(folder, self._prometheus(folder), self._at.prometheus),
        )

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus listens."""
        return chain.url(self._at.prometheus)

    def firing(self) -> set[Alert]:
        """Return the alerts about jobs that Prometheus has now."""
        return {
            (one["metric"]["alertname"], one["metric"][names.JOB])
            for one in query(self.prometheus_url, FIRING)
        }

    def until_firing(self, *alerts: Alert) -> float:
        """Return how many seconds it takes until exactly these alerts about jobs fire."""
        began = time.monotonic()
        seen: list[set[Alert]] = [set()]

        def is_so() -> bool:
            seen[0] = self.firing()
            return seen[0] == set(alerts)

        try:
            wait_until(is_so, f"only {alerts} fire", every=0.2)
        except AssertionError:
            raise AssertionError(f"{seen[0]} fire, expected {alerts}") from None
        return time.monotonic() - began

    def until_scraped(self) -> None:
        """Return when Prometheus has scraped each replica with success."""
        number = len(self.replicas.all)
        up = 'sum(up{job="afterrun"})'

        def is_so() -> bool:
            found = query(self.prometheus_url, up)
            return bool(found) and float(found[0]["value"][1]) == number

        wait_until(is_so, "all replicas are scraped", every=0.2)

    def spans(self) -> dict[Alert, int]:
        """Return how many times each alert about a job has begun to fire."""
        # The last evaluation is one of the steps below.
        elapse(2 * EVERY)
        now = time.time()
        step = max(EVERY, (now - self._began) / 10_000)
        arguments = urllib.parse.urlencode(
            {
                "query": f"max by (alertname, {names.JOB}) ({FIRING})",
                "start": self._began,
                "end": now,
                "step": step,
            }
        )
        url = f"{self.prometheus_url}/api/v1/query_range?{arguments}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
            result = json.load(answer)["data"]["result"]
        return {
            (one["metric"]["alertname"], one["metric"][names.JOB]): 1
            + sum(
                float(after[0]) - float(before[0]) > 1.5 * step
                for before, after in pairwise(one["values"])
            )
            for one in result
        }

    def notified(self) -> dict[Alert, list[str]]:
        """Return what the webhook was told of each alert about a job, in order."""
        told: dict[Alert, list[str]] = defaultdict(list)
        for notification in self.inbox.sent().notifications:
            for labels in notification.alerts:
                if job := labels.get(names.JOB):
                    told[labels["alertname"], job].append(notification.status)
        return dict(told)

    def _prometheus(self, folder: Path) -> Path:
        marker = 9
        config = chain.prometheus_config(
            folder,
            folder / "rules/afterrun.rules.yml",
            *(marker, self._at.prometheus, self._at.alertmanager),
        )
        document: dict[str, Any] = yaml.safe_load(config.read_text())
        for scrape in document["scrape_configs"]:
            for static in scrape.get("static_configs", ()):
                if static["targets"] == [f"{network.LOOPBACK}:{marker}"]:
                    static["targets"] = [
                        f"{network.LOOPBACK}:{replica.port}"
                        for replica in self.replicas
                    ]
        config.write_text(yaml.safe_dump(document, sort_keys=False))
        return config


@contextmanager
def repeated(act: Callable[[], object], pause: float) -> Iterator[None]:
    """Repeat *act* in a thread while the block runs, with so many seconds in between.

    A failed assertion in it is raised after the block.
    """
    over = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            while not over.wait(pause):
                act()
        except AssertionError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


class Reporter:
    """Jobs that report once a second, each time to the next replica that accepts it."""

    def __init__(self, replicas: Replicas) -> None:
        self._ports = cycle([replica.port for replica in replicas])
        self._numbers = count()

    def report(self, job: str, **told: Any) -> None:
        """Report once; return when some replica has acknowledged it."""
        body = {"run_id": f"{job}-{next(self._numbers)}", **told}
        wait_until(
            lambda: self._accepts(job, body), f"{job} is reported", PATIENCE, every=0.1
        )

    @contextmanager
    def reporting(self, jobs: Sequence[str]) -> Iterator[None]:
        """Let these jobs succeed once a second while the block runs."""

        def report() -> None:
            for job in jobs:
                self.report(job)

        with repeated(report, EVERY):
            yield

    def _accepts(self, job: str, body: dict[str, Any]) -> bool:
        try:
            return ask(next(self._ports), "POST", f"/ping/{job}", body).status == 200
        except OSError:
            return False
