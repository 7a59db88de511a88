"""The exporter's own metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.openmetrics.exposition import (
    generate_latest as generate_openmetrics,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.status import Status, status
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.formats import unit_of
from afterrun_exporter.exposition.request_metrics import Requests, request_metrics

#: From the fsync of a fast SSD to a failing disk.
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)

#: Results and reasons that are exposed as 0 from the start, because Prometheus does not
#: see an increase of a counter that first appears at 1.
RESULTS = ("accepted", "duplicate", "rejected")
REASONS = ("limit", "name", "not_a_number", "process")


#: An Alertmanager, the successful and failed posts to it, and the waiting alerts.
Pushes = tuple[str, int, int, int]


class Fetches(NamedTuple):
    """Fetches of a configuration from a repository."""

    ok: int = 0
    failed: int = 0
    #: The result of the last one; None before the first.
    last: bool | None = None
    #: When one succeeded; 0 for never.
    succeeded_at: float = 0.0

    def after_success(self, now: float) -> Fetches:
        return self._replace(ok=self.ok + 1, last=True, succeeded_at=now)

    def after_failure(self) -> Fetches:
        return self._replace(failed=self.failed + 1, last=False)


class Replica(Protocol):
    """One of the replicas that share a database."""

    @property
    def is_leader(self) -> bool: ...

    @property
    def count(self) -> int: ...

    def feed_lag(self) -> float: ...

    @property
    def conflicts(self) -> int: ...

    @property
    def clock_offset(self) -> float: ...


class JobCounts:
    """Counts jobs by status, updated with each change."""

    def __init__(self) -> None:
        self._statuses: dict[str, Status] = {}
        self._counts: Counter[Status] = Counter()
        self._unobserved: set[str] = set()

    def put(self, name: str, now: tuple[Job, JobState] | None) -> None:
        """Update the count for a job; *now* is None if it was removed."""
        before = self._statuses.pop(name, None)
        if before is not None:
            self._counts[before] -= 1
        self._unobserved.discard(name)
        if now is not None:
            self._statuses[name] = state = status(*now)
            self._counts[state] += 1
            if now[1].unobserved is not None:
                self._unobserved.add(name)

    def counts(self) -> Iterable[tuple[Status, int]]:
        """Yield every state with its number of jobs."""
        return ((state, self._counts[state]) for state in Status)

    @property
    def unobserved(self) -> int:
        """The number of unobserved jobs."""
        return len(self._unobserved)


class SelfMetrics:
    """The exporter's own metrics, in a separate registry."""

    def __init__(self, version: str, has_process: bool = True, /, **build: str) -> None:
        """Create them; *build* has further labels of `BUILD_INFO`.

        Those of the process and of Python are left out unless it *has_process*.
        """
        self._registry = CollectorRegistry()
        self._process: ProcessCollector | None = None
        if has_process:
            self._process = ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)
        self._commits = Histogram(
            names.COMMIT_DURATION,
            names.HELP[names.COMMIT_DURATION],
            buckets=COMMIT_BUCKETS,
            registry=self._registry,
        )
        labels = {"version": version, **build}
        self._gauge(names.BUILD_INFO, *labels).labels(**labels).set(1)
        self._config = self._gauge(names.CONFIG_INFO, "hash", "git_sha")
        self._reload_ok = self._gauge(names.RELOAD_SUCCESSFUL)
        self._reloaded_at = self._gauge(names.RELOAD_TIMESTAMP)
        self._loaded_at = 0.0
        self._steps = 0

    def committed(self, seconds: float) -> None:
        """Record the duration of a commit."""
        self._commits.observe(seconds)

    def loaded(self, hash_: str, git_sha: str, at: float) -> None:
        """Record a successful configuration load."""
        self._config.clear()
        self._config.labels(hash_, git_sha).set(1)
        self._reload_ok.set(1)
        self._loaded_at = at
        self._reloaded_at.set(at)

    def refused(self) -> None:
        """Record a failed configuration load."""
        self._reload_ok.set(0)

    def watch(self, service: Service, tally: JobCounts) -> None:
        """Expose the counts of *service* and *tally*, read at each scrape."""
        self._registry.register(_Callback(lambda: _counts(service, tally)))

    def watch_replica(self, replica: Replica) -> None:
        """Expose the figures of *replica*, read at each scrape."""
        self._registry.register(_Callback(lambda: _of_replica(replica)))

    def watch_pushes(self, counts: Callable[[], Iterable[Pushes]]) -> None:
        """Expose the result of *counts*, called at each scrape."""
        self._registry.register(_Callback(lambda: _pushes(counts())))

    def watch_alertmanager_file(
        self, is_ok: Callable[[], bool | None], missing: Callable[[], int | None]
    ) -> None:
        """Expose the results of *is_ok* and *missing*, called at each scrape.

        The second one is the number of missing secrets; nothing is exposed for None.
        """
        for name, value in (
            (names.ALERTMANAGER_RELOAD_SUCCESSFUL, is_ok),
            (names.ALERTMANAGER_MISSING_SECRETS, missing),
        ):
            self._registry.register(_Callback(partial(_optional, name, value)))

    def watch_fetches(self, fetches: Callable[[], Fetches]) -> None:
        """Expose the result of *fetches*, called at each scrape."""
        self._registry.register(_Callback(lambda: _fetches(fetches())))

    def watch_requests(self, requests: Requests) -> None:
        """Expose the numbers and durations of *requests*, read at each scrape."""
        self._registry.register(_Callback(lambda: request_metrics(requests)))

    def clock_stepped(self, steps: int, now: float) -> None:
        """Move timestamps after *now* back to it, if the clock was set since the last call."""
        if steps == self._steps:
            return
        self._steps = steps
        self._loaded_at = min(self._loaded_at, now)
        self._reloaded_at.set(self._loaded_at)
        if self._process is None:
            return
        # The collector caches the boot time of the machine.
        self._registry.unregister(self._process)
        self._process = ProcessCollector(registry=self._registry)

    def render(
        self, families: Collection[str] | None = None, *, is_openmetrics: bool = False
    ) -> bytes:
        """Return the text of the exporter's own metrics, or only of *families*."""
        generate = generate_openmetrics if is_openmetrics else generate_latest
        return generate(_Exposed(self._registry, families))

    def _gauge(self, name: str, *labels: str) -> Gauge:
        return Gauge(name, names.HELP[name], labels, registry=self._registry)


class _Exposed(Collector):
    """The metrics of *registry*, or only *families*, without times of creation.

    These would be series of the exporter's start, and only Python clients have them.
    """

    def __init__(
        self, registry: CollectorRegistry, families: Collection[str] | None
    ) -> None:
        self._registry = registry
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            end = "_total" if metric.type == "counter" else ""
            if self._families is None or metric.name + end in self._families:
                metric.unit = unit_of(metric.name)
                metric.samples = [
                    one for one in metric.samples if not one.name.endswith("_created")
                ]
                yield metric


class _Callback(Collector):
    """The metrics that a function returns."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def _counts(service: Service, tally: JobCounts) -> Iterator[Metric]:
    jobs = _gauge(names.JOBS, None, "state")
    for state, count in tally.counts():
        jobs.add_metric([state], count)
    yield jobs

    yield _gauge(names.UNOBSERVED_JOBS, tally.unobserved)

    pings = _counter(names.PINGS, "dialect", "result")
    native = {("native", result): 0 for result in RESULTS}
    for labels, count in {**native, **service.pings}.items():
        pings.add_metric(labels, count)
    yield pings

    dropped = _counter(names.METRICS_DROPPED, "reason")
    for reason, count in {**dict.fromkeys(REASONS, 0), **service.dropped}.items():
        dropped.add_metric([reason], count)
    yield dropped

    for name, count in (
        (names.STORAGE_ERRORS, service.storage_errors),
        (names.CLOCK_STEPS, service.clock_steps),
        (names.PAUSES, service.pauses),
    ):
        counter = _counter(name)
        counter.add_metric([], count)
        yield counter

    yield _gauge(names.CLOCK, service.now())
    yield _gauge(names.DATABASE_SIZE, service.database_size())


def _of_replica(replica: Replica) -> Iterator[Metric]:
    for name, value in (
        (names.LEADER, float(replica.is_leader)),
        (names.REPLICAS, replica.count),
        (names.FEED_LAG, replica.feed_lag()),
        (names.CLOCK_OFFSET, replica.clock_offset),
    ):
        yield _gauge(name, value)
    conflicts = _counter(names.STORE_CONFLICTS)
    conflicts.add_metric([], replica.conflicts)
    yield conflicts


def _pushes(counts: Iterable[Pushes]) -> Iterator[Metric]:
    posts = _counter(names.PUSHES, names.ALERTMANAGER, names.RESULT)
    waits = _gauge(names.PUSH_WAITING, None, names.ALERTMANAGER)
    for name, ok, failed, waiting in counts:
        posts.add_metric([name, "ok"], ok)
        posts.add_metric([name, "failed"], failed)
        waits.add_metric([name], waiting)
    yield posts
    yield waits


def _fetches(fetches: Fetches) -> Iterator[Metric]:
    counter = _counter(names.CONFIG_FETCHES, names.RESULT)
    counter.add_metric(["ok"], fetches.ok)
    counter.add_metric(["failed"], fetches.failed)
    yield counter
    yield from _optional(names.FETCH_SUCCESSFUL, lambda: fetches.last)
    yield _gauge(names.FETCH_TIMESTAMP, fetches.succeeded_at)


def _gauge(name: str, value: float | None, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, names.HELP[name], value, labels or None)


def _optional(
    name: str, value: Callable[[], float | None]
) -> Iterator[GaugeMetricFamily]:
    if (number := value()) is not None:
        yield _gauge(name, number)


def _counter(name: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, names.HELP[name], labels=labels)
