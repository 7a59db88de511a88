"""How long does a scrape of 100,000 jobs take, and how long is the loop held?

The scrapes go over HTTP to a client of its own process. The loop is watched by a
task that does nothing else: whatever keeps it from running would keep a ping from
being answered. That time is judged as CPU time of the loop's thread: what other
programs take from it is not ours.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter, thread_time
from typing import Final

import uvloop
from aiohttp import web

from afterrun_exporter.clock import SystemClock, yield_to_loop
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.endpoint import metrics
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from benchmarks.daemon import free_port
from benchmarks.fetch import Client
from benchmarks.fleet import Reports, age, read
from benchmarks.rounds import Measured, table, verdict
from tests.fakes import MemoryStore

JOBS: Final = 100_000
ROUNDS: Final = 5
#: Pings that are recorded at once.
STEP: Final = 1000
#: Seconds that the loop may be held.
BAR: Final = 0.02

HEAD: Final = (
    "a scrape",
    "time",
    "bytes",
    "the loop was held",
    "CPU",
    f"bar {BAR:g} s",
)

_PAGE: Final = 4096


class Holds:
    """The longest times for which the loop did not come round."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu: list[float] = []

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Note the longest time that passes while the block runs."""
        longest = [0.0, 0.0]

        async def watch() -> None:
            last = perf_counter(), thread_time()
            while True:
                await yield_to_loop()
                now = perf_counter(), thread_time()
                for which in (0, 1):
                    longest[which] = max(longest[which], now[which] - last[which])
                last = now

        watcher = asyncio.create_task(watch())
        await yield_to_loop()
        yield
        watcher.cancel()
        self.seconds.append(longest[0])
        self.cpu.append(longest[1])


class Fleet:
    """All jobs, served on a port."""

    def __init__(self, service: Service, client: Client, port: int) -> None:
        self._service = service
        self._client = client
        self._port = port
        self._reports = Reports(JOBS, "scraped")

    async def scrape(
        self, pings: int, encoding: str, holds: Holds
    ) -> tuple[float, int]:
        """Return how long a scrape took, so many jobs having just pinged; its size."""
        now = SystemClock().now()
        for _ in range(0, pings, STEP):
            await self._service.record_all(
                [self._reports.ping(now) for _ in range(min(STEP, pings))]
            )
        # What the pings leave behind is not the scrape's.
        gc.collect()
        gc.freeze()
        async with holds.watched():
            return await self._client.get(self._port, "/metrics", encoding)


def resident() -> int:
    """Return the bytes of memory that this process holds, without what is free."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * _PAGE


async def measure() -> bool:
    """Print the table; return whether the bar is kept to."""
    client = await Client.start()
    service = Service(store := MemoryStore(), SystemClock(), read(JOBS).job_config)
    await age(store, service.job_config.jobs)
    await service.start()
    exposition = Exposition(service, SelfMetrics("benchmark"))
    app = web.Application()
    app.router.add_get("/metrics", metrics(exposition, 40))
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()

    fleet = Fleet(service, client, port)
    before = resident()
    rows, kept = [], True
    for what, pings, encoding, rounds in (
        ("the first", 0, "identity", 1),
        ("nothing changed", 0, "identity", ROUNDS),
        ("nothing changed, gzip", 0, "gzip", ROUNDS),
        ("1 % of the jobs changed", JOBS // 100, "identity", ROUNDS),
        ("1 % of the jobs changed, gzip", JOBS // 100, "gzip", ROUNDS),
        ("all jobs changed, gzip", JOBS, "gzip", 1),
    ):
        holds = Holds()
        done = [await fleet.scrape(pings, encoding, holds) for _ in range(rounds)]
        times = Measured([seconds for seconds, _ in done])
        cpu = max(holds.cpu)
        kept &= cpu <= BAR
        rows.append(
            (
                what,
                times.seconds() if rounds > 1 else f"{times.median:.3g} s",
                f"{done[-1][1] / 2**20:.3g} MiB",
                f"{max(holds.seconds) * 1000:.3g} ms",
                f"{cpu * 1000:.3g} ms",
                verdict(cpu, BAR),
            )
        )
        if what == "the first":
            text = (resident() - before) / JOBS
    await runner.cleanup()
    await client.stop()
    print(f"{JOBS:,} jobs; their text takes {text:,.0f} bytes of memory a job\n")
    print(table(HEAD, rows))
    return kept


if __name__ == "__main__":
    sys.exit(not uvloop.run(measure()))
