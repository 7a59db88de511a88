"""Memory, descriptors and threads of a daemon under load for an hour.

5,000 jobs report 450 times a second, while the daemon is scraped, browsed and reloaded.
Each minute prints its memory and the latency of reports.

Two things fill up: SQLite's page cache of 64 MiB, and the keys and histories of the
runs that are kept of each job. Reports with long messages and a retention of 50 runs
fill both within ten minutes. Memory must not grow from then on.

python -m benchmarks.soak [--minutes N] [--jobs N] [--rate N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop

from benchmarks.daemon import Connection, Daemon, serving
from benchmarks.fleet import AGE, config_text, files

CONNECTIONS: Final = 16
#: Seconds between two of each.
SCRAPE_EVERY: Final = 15.0
LOOK_EVERY: Final = 5.0
RELOAD_EVERY: Final = 120.0
PAGES: Final = ("/", "/?state=failing", "/jobs/job-00017", "/api/v1/jobs?limit=500")

#: Bytes by which memory may grow in an hour once the caches are full.
MOST_GROWTH: Final = 8 * 2**20
MIB: Final = 2**20

#: Runs that are kept of each job; `AGE` of them are there from the start.
RETAINED: Final = 50
#: Reports of one job until its keys and its history are full: one in two ends a run.
REPORTS_UNTIL_FULL: Final = 2 * (RETAINED - AGE) + 10
#: Bytes by which the database grows until SQLite's page cache is full: twice the cache,
#: because pages that are freed and used again count once.
GROWTH_UNTIL_FULL: Final = 128 * MIB
#: Minutes with full caches that are needed for a verdict.
ENOUGH: Final = 10

_EXTRA: Final = f"""
retention: {{runs_per_job: {RETAINED}}}
policies:
  - match: {{name: "7$"}}
    alerts:
      success_ratio: {{below: 10%, over: 7d, min_runs: 5}}
      slower_than: {{factor: 10, than: median, over: 7d, min_runs: 3}}
"""
#: About as much as a run takes with the end of its output.
_OUTPUT: Final = "a line of output of the run that ended " * 26


@dataclass(slots=True)
class Minute:
    """What was seen within a minute."""

    resident: int = 0
    files: int = 0
    threads: int = 0
    #: Bytes of the database.
    database: int = 0
    #: Seconds that each ping took.
    pings: list[float] = field(default_factory=list)

    def row(self, number: int) -> str:
        """Return it as a line of the table."""
        slowest = sorted(self.pings)[int(len(self.pings) * 0.99)] if self.pings else 0.0
        return (
            f"{number:>6}  {self.resident / MIB:>8.1f}  {self.files:>5}  "
            f"{self.threads:>7}  {self.database / MIB:>12.0f}  "
            f"{len(self.pings) / 60:>8.0f}  {slowest * 1000:>6.1f}"
        )


HEAD: Final = "minute   RSS MiB  files  threads  database MiB   pings/s  99% ms"


def reports(jobs: int) -> Iterator[bytes]:
    """Yield reports of all jobs in turn: starts, ends, failures, and some that repeat."""
    for number, job in enumerate(cycle(range(jobs))):
        run = number // jobs
        status = ("ok", "ok", "ok", "fail", "start")[run % 5]
        body = (
            f'{{"status":"{status}","run_id":"{run - run % 2}","metrics":'
            f'{{"rows_processed":{100_000 + run},"error_ratio":0.01,"new_{run % 7}":1}},'
            f'"message":"run {run}: {_OUTPUT}","metadata":{{"host":"h{run % 90}"}}}}'
        ).encode()
        head = (
            f"POST /ping/job-{job:05d} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


async def report(
    daemon: Daemon, sent: Iterator[bytes], rate: float, minutes: Sequence[Minute]
) -> None:
    """Report *rate* times a second on a connection of its own."""
    began = time.monotonic()
    async with Connection.to(daemon) as connection:
        for number in range(int(rate * 60 * len(minutes))):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            at = time.monotonic()
            await connection.ask(next(sent))
            done = time.monotonic()
            place = min(int((done - began) // 60), len(minutes) - 1)
            minutes[place].pings.append(done - at)


async def ask_again(daemon: Daemon, every: float, *paths: str) -> None:
    """Ask for *paths* in turn, for ever."""
    for path in cycle(paths):
        await asyncio.sleep(every)
        await asyncio.to_thread(daemon.get, path)


async def reload_again(daemon: Daemon, config: Path, jobs: int) -> None:
    """Have it read its configuration again and again, with one job more or less."""
    for number in cycle((1, 0)):
        await asyncio.sleep(RELOAD_EVERY)
        await asyncio.to_thread(config.write_text, soaked(jobs + number), "utf-8")
        os.kill(daemon.pid, signal.SIGHUP)


def soaked(jobs: int) -> str:
    """Return an afterrun.yml of *jobs* with what fills up soon."""
    return config_text(jobs) + _EXTRA


def held(daemon: Daemon, what: str) -> int:
    """Return how many files ("fd") or threads ("task") it has."""
    return sum(1 for _ in Path(f"/proc/{daemon.pid}/{what}").iterdir())


def size(database: Path) -> int:
    """Return the bytes of the file *database*."""
    return database.stat().st_size


async def watch(daemon: Daemon, database: Path, minutes: Sequence[Minute]) -> None:
    """Print each minute once it is over."""
    print(HEAD, flush=True)
    for number, minute in enumerate(minutes, start=1):
        await asyncio.sleep(60)
        minute.resident = daemon.resident()
        minute.files = held(daemon, "fd")
        minute.threads = held(daemon, "task")
        minute.database = size(database)
        print(minute.row(number), flush=True)


async def soak(
    daemon: Daemon, config: Path, database: Path, jobs: int, rate: float, long: int
) -> bool:
    """Return True if nothing grows once the caches are full."""
    minutes = [Minute() for _ in range(long)]
    sent = reports(jobs)
    before = size(database)
    async with AsyncExitStack() as stack:
        others = [
            asyncio.create_task(one)
            for one in (
                ask_again(daemon, SCRAPE_EVERY, "/metrics"),
                ask_again(daemon, LOOK_EVERY, *PAGES),
                reload_again(daemon, config, jobs),
                *(
                    report(daemon, sent, rate / CONNECTIONS, minutes)
                    for _ in range(CONNECTIONS)
                ),
            )
        ]
        for one in others:
            stack.callback(one.cancel)
        await watch(daemon, database, minutes)
        for one in others:
            if one.done() and not one.cancelled():
                one.result()
    full = full_after(minutes, before, jobs)
    print(f"the caches are full after minute {full}")
    # What the allocator keeps in pieces settles as well.
    settled = max(full, len(minutes) // 2)
    if len(minutes) - settled < ENOUGH:
        print(f"too short: {ENOUGH} minutes with full caches are needed")
        return False
    return judged(minutes[settled:])


def full_after(minutes: Sequence[Minute], before: int, jobs: int) -> int:
    """Return the number of minutes until everything that fills up was full.

    *before* is the size of the database at first.
    """
    reported = 0
    for number, minute in enumerate(minutes, start=1):
        reported += len(minute.pings)
        if (
            reported >= jobs * REPORTS_UNTIL_FULL
            and minute.database - before >= GROWTH_UNTIL_FULL
        ):
            return number
    return len(minutes)


def judged(minutes: Sequence[Minute]) -> bool:
    """Print the growth of each thing within *minutes*; return True if it is allowed."""
    places = range(len(minutes))
    growth = statistics.linear_regression(places, [one.resident for one in minutes])
    an_hour = growth.slope * 60
    print(f"RSS grew by {an_hour / MIB:.1f} MiB an hour; {MOST_GROWTH / MIB:g} allowed")
    fine = an_hour <= MOST_GROWTH
    for name in ("files", "threads"):
        found = [getattr(one, name) for one in minutes]
        print(f"{name}: {min(found)} to {max(found)}")
        fine = fine and found[-1] <= max(found[: len(found) // 2 + 1]) + 8
    return fine


def main() -> int:
    """Return 1 if anything grows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=450.0)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        config, database = files(Path(folder), given.jobs)
        config.write_text(soaked(given.jobs), "utf-8")
        with serving(config, database) as daemon:
            fine = uvloop.run(
                soak(daemon, config, database, given.jobs, given.rate, given.minutes)
            )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
