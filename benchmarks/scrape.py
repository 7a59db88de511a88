"""How long does a scrape of 10,000 jobs take, next to generate_latest?

`prometheus_client.generate_latest` renders the same samples from a registry whose
collector has them ready, so that nothing but its rendering is measured.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from afterrun_exporter.clock import SystemClock
from afterrun_exporter.conventions import JOB
from afterrun_exporter.exposition.endpoint import Exposition
from afterrun_exporter.exposition.selfmetrics import SelfMetrics
from afterrun_exporter.service import Service
from afterrun_exporter.testing import MemoryStore
from benchmarks.fleet import Reports, age, read
from benchmarks.rounds import Measured, Side, alternate, table, verdict

JOBS: Final = 10_000
SERIES: Final = 20
BAR: Final = 0.1
ROUNDS: Final = 5

HEAD: Final = ("a scrape", "time", "of generate_latest", f"bar {BAR:g}")

#: A sample as Prometheus sees it.
Sample = tuple[str, frozenset[tuple[str, str]], str]


class Ready(Collector):
    """Families that were made beforehand."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


class Fleet:
    """All jobs, and their exposition."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._reports = Reports(JOBS, "scraped")
        self._clock = SystemClock()
        self.exposition = Exposition(service, SelfMetrics("benchmark"))

    def scrape(self, changed: int) -> Side:
        """Return what measures a scrape before which *changed* jobs pinged."""

        async def measure() -> float:
            now = self._clock.now()
            pings = [self._reports.ping(now) for _ in range(changed)]
            if pings:
                await self._service.record_all(pings)
            began = perf_counter()
            await self.exposition.render()
            return perf_counter() - began

        return measure
