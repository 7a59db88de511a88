"""How long does a scrape of 10,000 jobs take, next to generate_latest?

`prometheus_client.generate_latest` renders the same samples from a registry whose
collector has them ready, so that nothing but its rendering is measured.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Hashable, Iterable, Iterator
from time import perf_counter
from typing import Final

import uvloop
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from afterrun_exporter.clock import SystemClock
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.exposition.snapshot import blocks
from benchmarks.fleet import Reports, age, read
from benchmarks.rounds import Measured, Side, alternate, table, verdict
from tests.fakes import MemoryStore

JOBS: Final = 10_000
BAR: Final = 0.1
ROUNDS: Final = 4

HEAD: Final = ("a scrape", "time", "of generate_latest", f"bar {BAR:g}")


class Ready(Collector):
    """Families that were made beforehand."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


class Fleet:
    """All jobs, and the text that is scraped."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._reports = Reports(JOBS, "scraped")
        self._clock = SystemClock()
        self._exposition = Exposition(service, SelfMetrics("benchmark"))

    async def text(self) -> str:
        """Return what a scrape is answered."""
        return b"".join((await self._exposition.scrape()).text()).decode()

    def after(self, pings: int, *, compressed: bool = False) -> Side:
        """Return what measures a scrape, so many jobs having just pinged."""

        async def measure() -> float:
            now = self._clock.now()
            made = [self._reports.ping(now) for _ in range(pings)]
            await self._service.record_all(made)
            began = perf_counter()
            page = await self._exposition.scrape()
            pieces = await page.compressed() if compressed else page.text()
            # As they are sent.
            for _ in blocks(pieces):
                pass
            return perf_counter() - began

        return measure


def of_jobs(text: str) -> list[Metric]:
    """Return the families of jobs in *text*."""
    return [
        family
        for family in text_string_to_metric_families(text)
        if family.name.startswith("afterrun_job_")
    ]


def samples(families: Iterable[Metric]) -> set[Hashable]:
    """Return what Prometheus makes of *families*; NaN is equal to itself here."""
    return {
        (sample.name, frozenset(sample.labels.items()), repr(float(sample.value)))
        for family in families
        for sample in family.samples
    }


async def measure() -> tuple[int, list[Measured]]:
    """Return how many samples a scrape has, and what the sides came to."""
    service = Service(store := MemoryStore(), SystemClock(), read(JOBS).job_config)
    await age(store, service.job_config.jobs)
    await service.start()
    fleet = Fleet(service)

    ours = of_jobs(await fleet.text())
    registry = CollectorRegistry()
    registry.register(Ready(ours))
    expected = samples(ours)
    theirs = generate_latest(registry).decode()
    if samples(of_jobs(theirs)) != expected:
        raise RuntimeError("the two texts do not have the same samples")

    async def library() -> float:
        began = perf_counter()
        generate_latest(registry)
        return perf_counter() - began

    # Neither side is to pay for the other's garbage.
    gc.collect()
    gc.freeze()
    few = JOBS // 100
    sides = (
        fleet.after(0),
        fleet.after(few),
        fleet.after(few, compressed=True),
        fleet.after(JOBS),
        library,
    )
    return len(expected), await alternate(ROUNDS, *sides)


def main() -> int:
    """Print the table; return 1 when the bar is missed."""
    count, (*ours, library) = uvloop.run(measure())
    ratios = [side.over(library) for side in ours]
    whats = (
        "nothing changed",
        "1 % of the jobs changed",
        "1 % of the jobs changed, gzip",
        "all jobs changed",
    )
    judged = (True, True, True, False)
    lines = [
        (
            f"AfterRun, {what}",
            side.seconds(),
            ratio.plain(),
            verdict(ratio.median, BAR) if bar else "",
        )
        for what, side, ratio, bar in zip(whats, ours, ratios, judged, strict=True)
    ]
    print(f"{JOBS:,} jobs, {count:,} samples ({count / JOBS:g} a job)\n")
    print(table(HEAD, [*lines, ("generate_latest", library.seconds(), "1", "")]))
    missed = [
        r for r, bar in zip(ratios, judged, strict=True) if bar and r.median > BAR
    ]
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
