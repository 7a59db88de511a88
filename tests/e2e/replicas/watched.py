"""Replicas that Prometheus and Alertmanager watch, and jobs that report to them."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, cycle, pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from afterrun_exporter import conventions as names
from tests.e2e import chain, network
from tests.e2e.daemon.daemon import wait_until
from tests.e2e.generated import Ports, generate
from tests.e2e.inbox import Inbox
from tests.e2e.network import query
from tests.e2e.processes import Process
from tests.e2e.replicas.asking import ask_once
from tests.e2e.replicas.replica import UNANSWERED, Replicas, elapse
from tests.patience import PATIENCE

#: How often Prometheus evaluates, and jobs report.
EVERY: Final = 1.0

#: How often Prometheus scrapes, which is also how long it waits for a replica.
SCRAPE: Final = "5s"

#: Seconds between two reports of a job after which it may be missed.
GRACE: Final = 40.0

Value = TypeVar("Value")

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
        #: By the clock of `time.monotonic`: nothing is expected of any job before.
        self.since = time.monotonic()
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
            chain.Pace(scrape=SCRAPE),
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

    def __init__(self, watched: Watched) -> None:
        #: Jobs that could not report in time on a busy machine: they may be missed.
        self.late: set[str] = set()
        #: The most seconds in which nothing was acknowledged.
        self.longest_gap = 0.0
        self._ports = cycle([replica.port for replica in watched.replicas])
        self._numbers = count()
        self._acknowledged_at: float | None = None
        #: When each job that reports all the time has begun its last report.
        self._heard: dict[str, float] = defaultdict(lambda: watched.since)

    def report(self, job: str, **told: Any) -> None:
        """Report once; return when some replica has acknowledged it."""
        self._send(f"/ping/{job}", {**self._run(job), **told})

    @contextmanager
    def reporting(self, jobs: Sequence[str]) -> Iterator[None]:
        """Let these jobs succeed once a second while the block runs."""

        def report() -> None:
            began = time.monotonic()
            self._send("/ping", [{"job": job, **self._run(job)} for job in jobs])
            self._note_acknowledgement()
            self._note_late(jobs)
            for job in jobs:
                self._heard[job] = max(self._heard[job], began)

        with repeated(report, EVERY):
            yield
        self._note_late(jobs)

    def begin_again(self) -> None:
        """Count no time until now as one in which jobs should have reported."""
        self._heard = defaultdict(
            time.monotonic, dict.fromkeys(self._heard, time.monotonic())
        )

    def punctual(self, alerts: Mapping[Alert, Value]) -> dict[Alert, Value]:
        """Return *alerts* without those of jobs that could not report in time."""
        return {
            alert: one for alert, one in alerts.items() if alert[1] not in self.late
        }

    def _run(self, job: str) -> dict[str, Any]:
        return {"run_id": f"{job}-{next(self._numbers)}"}

    def _send(self, path: str, body: object) -> None:
        wait_until(
            lambda: self._accepts(path, body),
            f"{body} is accepted",
            PATIENCE,
            every=0.1,
        )

    def _note_acknowledgement(self) -> None:
        now = time.monotonic()
        gap = now - (self._acknowledged_at or now)
        self.longest_gap = max(self.longest_gap, gap)
        self._acknowledged_at = now

    def _note_late(self, jobs: Sequence[str]) -> None:
        now = time.monotonic()
        self.late |= {job for job in jobs if now - self._heard[job] > GRACE}

    def _accepts(self, path: str, body: object) -> bool:
        try:
            return ask_once(next(self._ports), "POST", path, body).status == 200
        except UNANSWERED:
            return False
