"""Does a ping cost more among 10,000 jobs than among 100?

Both fleets are pinged in turn: first through two services in this process, then
over HTTP through two daemons, each a process of its own.

The bar is for CPU time, and for the time that pings take side by side. The time
of a ping that is sent alone is shown, and not judged: most of it is waiting for
the disk and being woken up again, and on a busy machine for the scheduler.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final, Generic, TypeVar

import uvloop

from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.model import Ping
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from benchmarks.daemon import Connection, Daemon, serving
from benchmarks.fleet import Reports, files, read
from benchmarks.rounds import Measured, alternate, table, verdict

SIZES: Final = (100, 10_000)
BAR: Final = 1.3

#: Rounds of one ping each.
ALONE: Final = 300

#: Rounds in which `SENDERS` send so many pings together: enough that SQLite
#: moves its log into the database in most of them.
ROUNDS: Final = 45
TOGETHER: Final = 320
SENDERS: Final = 32

HEAD: Final = (
    "a ping, with its answer",
    *(f"{size:,} jobs" for size in SIZES),
    "ratio",
    f"bar {BAR:g}",
)

T = TypeVar("T")

#: What was measured, at each size, and whether the bar is for it.
Row = tuple[str, list[Measured], bool]


class Load(Generic[T]):
    """Pings for one fleet, and those who send them."""

    def __init__(
        self,
        make: Callable[[], T],
        senders: Sequence[Callable[[T], Awaitable[object]]],
        cpu: Callable[[], float],
    ) -> None:
        self._make = make
        self._senders = senders
        self._cpu = cpu
        #: CPU seconds that a ping took in each round of the two below.
        self.alone_cpu: list[float] = []
        self.at_once_cpu: list[float] = []

    async def one_by_one(self) -> float:
        """Return the time from sending a ping to its answer."""
        ping = self._make()
        began, used = perf_counter(), self._cpu()
        await self._senders[0](ping)
        self.alone_cpu.append(self._cpu() - used)
        return perf_counter() - began

    async def at_once(self) -> float:
        """Return how long all senders take together, divided by their pings."""
        pings = iter([self._make() for _ in range(TOGETHER)])

        async def work(send: Callable[[T], Awaitable[object]]) -> None:
            for ping in pings:
                await send(ping)

        began, used = perf_counter(), self._cpu()
        await asyncio.gather(*map(work, self._senders))
        self.at_once_cpu.append((self._cpu() - used) / TOGETHER)
        return (perf_counter() - began) / TOGETHER


async def compare(where: str, loads: Sequence[Load[T]]) -> list[Row]:
    """Return what a ping takes under each of *loads*."""
    alone = await alternate(ALONE, *(load.one_by_one for load in loads))
    together = await alternate(ROUNDS, *(load.at_once for load in loads))
    # The first round of each was there to warm up.
    alone_cpu = [Measured(load.alone_cpu[1:]) for load in loads]
    together_cpu = [Measured(load.at_once_cpu[1:]) for load in loads]
    return [
        (f"{where}, one by one", alone, False),
        (f"{where}, one by one: CPU", alone_cpu, True),
        (f"{where}, {SENDERS} at once", together, True),
        (f"{where}, {SENDERS} at once: CPU", together_cpu, True),
    ]


async def in_process(databases: Sequence[Path]) -> list[Row]:
    """Measure `Service.record`, the database being on disk."""
    async with AsyncExitStack() as stack:
        loads = []
        for size, path in zip(SIZES, databases, strict=True):
            store = await stack.enter_async_context(SQLiteStore.open(path))
            service = Service(store, SystemClock(), read(size).job_config)
            await service.start()
            loads.append(_recording(service, Reports(size, "recorded")))
        # They share a heap: neither is to pay for the other's garbage.
        gc.collect()
        gc.freeze()
        return await compare("in process", loads)


def _recording(service: Service, reports: Reports) -> Load[Ping]:
    clock = SystemClock()
    return Load(
        lambda: reports.ping(clock.now()), [service.record] * SENDERS, process_time
    )


async def over_http(daemons: Sequence[Daemon]) -> list[Row]:
    """Measure single pings over connections that are kept."""
    async with AsyncExitStack() as stack:
        loads = []
        for size, daemon in zip(SIZES, daemons, strict=True):
            connections = [
                await stack.enter_async_context(Connection.to(daemon))
                for _ in range(SENDERS)
            ]
            senders = [connection.ask for connection in connections]
            loads.append(Load(Reports(size, "posted").request, senders, daemon.cpu))
        return await compare("HTTP", loads)


def main() -> int:
    """Print the table; return 1 when the bar is missed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        founded = [files(folder, size) for size in SIZES]
        rows = uvloop.run(in_process([database for _, database in founded]))
        daemons = [stack.enter_context(serving(*paths)) for paths in founded]
        rows += uvloop.run(over_http(daemons))
    lines, missed = [], False
    for what, (small, large), judged in rows:
        ratio = large.over(small)
        missed |= judged and ratio.median > BAR
        found = verdict(ratio.median, BAR) if judged else ""
        lines.append((what, small.seconds(), large.seconds(), ratio.plain(), found))
    print(table(HEAD, lines))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
