"""Does a daemon hold ever more memory, files or threads, the longer it runs?

For an hour 5,000 jobs report 450 times a second, while it is scraped, looked at and
reloaded. Each minute prints what it holds and how long pings took. What is kept of each
job (runs, keys, texts) is bounded and full well before the middle, so from there on
the memory must stay where it is.

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
from benchmarks.fleet import config_text, files

CONNECTIONS: Final = 16
#: Seconds between two of each.
SCRAPE_EVERY: Final = 15.0
LOOK_EVERY: Final = 5.0
RELOAD_EVERY: Final = 120.0
PAGES: Final = ("/", "/?state=failing", "/jobs/job-00017", "/api/v1/jobs?limit=500")

#: By how much memory may still grow in an hour, once everything is full.
MOST_GROWTH: Final = 8 * 2**20
MIB: Final = 2**20


@dataclass(slots=True)
class Minute:
    """What was seen within a minute."""

    resident: int = 0
    files: int = 0
    threads: int = 0
    #: Seconds that each ping took.
    pings: list[float] = field(default_factory=list)

    def row(self, number: int) -> str:
        """Return it as a line of the table."""
        slowest = sorted(self.pings)[int(len(self.pings) * 0.99)] if self.pings else 0.0
        return (
            f"{number:>6}  {self.resident / MIB:>8.1f}  {self.files:>5}  "
            f"{self.threads:>7}  {len(self.pings) / 60:>8.0f}  {slowest * 1000:>6.1f}"
        )


HEAD: Final = "minute   RSS MiB  files  threads   pings/s  99% ms"


def reports(jobs: int) -> Iterator[bytes]:
    """Yield reports of all jobs in turn: starts, ends, failures, and some that repeat."""
    for number, job in enumerate(cycle(range(jobs))):
        run = number // jobs
        status = ("ok", "ok", "ok", "fail", "start")[run % 5]
        body = (
            f'{{"status":"{status}","run_id":"{run - run % 2}","metrics":'
            f'{{"rows_processed":{100_000 + run},"error_ratio":0.01,"new_{run % 7}":1}},'
            f'"message":"run {run} of the soak","metadata":{{"host":"h{run % 90}"}}}}'
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
        await asyncio.to_thread(config.write_text, config_text(jobs + number), "utf-8")
        os.kill(daemon.pid, signal.SIGHUP)


def held(daemon: Daemon, what: str) -> int:
    """Return how many files ("fd") or threads ("task") it has."""
    return sum(1 for _ in Path(f"/proc/{daemon.pid}/{what}").iterdir())


async def watch(daemon: Daemon, minutes: Sequence[Minute]) -> None:
    """Print each minute once it is over."""
    print(HEAD, flush=True)
    for number, minute in enumerate(minutes, start=1):
        await asyncio.sleep(60)
        minute.resident = daemon.resident()
        minute.files = held(daemon, "fd")
        minute.threads = held(daemon, "task")
        print(minute.row(number), flush=True)


async def soak(daemon: Daemon, config: Path, jobs: int, rate: float, long: int) -> bool:
    """Return whether the daemon held no more in the end than in the middle."""
    minutes = [Minute() for _ in range(long)]
    sent = reports(jobs)
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
        await watch(daemon, minutes)
        for one in others:
            if one.done() and not one.cancelled():
                one.result()
    return judged(minutes)


def judged(minutes: Sequence[Minute]) -> bool:
    """Print by how much each thing grew in the second half; return whether that is fine."""
    half = [*minutes][len(minutes) // 2 :]
    if len(half) < 3:
        print("too short to tell whether anything grows")
        return True
    places = range(len(half))
    growth = statistics.linear_regression(places, [one.resident for one in half]).slope
    an_hour = growth * 60
    print(f"RSS grew by {an_hour / MIB:.1f} MiB an hour, {MOST_GROWTH / MIB:g} may be")
    fine = an_hour <= MOST_GROWTH
    for name in ("files", "threads"):
        found = [getattr(one, name) for one in half]
        print(f"{name}: {min(found)} to {max(found)}")
        fine = fine and found[-1] <= max(found[: len(found) // 2 + 1]) + 8
    return fine


def main() -> int:
    """Return 1 where something grows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=450.0)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        config, database = files(Path(folder), given.jobs)
        with serving(config, database) as daemon:
            fine = uvloop.run(
                soak(daemon, config, given.jobs, given.rate, given.minutes)
            )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
