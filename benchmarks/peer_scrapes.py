"""How long is a scrape of 100,000 jobs, next to Pushgateway's of as many samples?

Pings and pushes go on meanwhile, to one job in a hundred, so that one in a hundred
has changed since the scrape before. Both servers share one core; what scrapes, and
wrk, have another.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Final

from benchmarks import pushgateway
from benchmarks.beats import Held, held_since
from benchmarks.daemon import Daemon, serving
from benchmarks.fleet import registered_files
from benchmarks.machine import leave_the_servers_alone
from benchmarks.rounds import Measured, Side, alternate, table, verdict
from benchmarks.wrk import Kind, Load, Told

#: Most of Pushgateway's time, as text and in gzip, and of its memory.
PLAIN_BAR: Final = 1 / 50
GZIP_BAR: Final = 1 / 20
MEMORY_BAR: Final = 1 / 2
#: Longest that pings may have to wait for the event loop, in seconds.
HELD_BAR: Final = 0.020

#: One job in so many is pinged.
STEP: Final = 100
#: Connections that ping, each so many milliseconds after its last answer: 1,000
#: pings a second at most.
CONNECTIONS: Final = 10
DELAY: Final = 10
#: Runs that each job has behind it.
AGE: Final = 10

_AFTER: Final = 0.2
_ENCODINGS: Final = ("identity", "gzip")

HEAD: Final = ("on one core", "ours", "Pushgateway", "ratio", "bar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    jobs: int = 100_000
    rounds: int = 3
    #: Seconds of pings before a scrape: enough for each of the jobs that change.
    before: float = 1.5


QUICK: Final = Plan(jobs=5000, rounds=2, before=0.3)


@dataclass
class Scraped:
    """A server that is scraped while it is pinged."""

    server: Daemon
    load: Load
    before: float
    beats: Path | None = None
    #: What the pings were told, and the longest times that the loop was held:
    #: before the scrapes, and while they went on.
    told: list[Told] = field(default_factory=list)
    quiet: list[Held] = field(default_factory=list)
    busy: list[Held] = field(default_factory=list)

    def scraping(self, encoding: str) -> Side:
        """Return what measures a scrape in *encoding*."""

        async def side() -> float:
            return await asyncio.to_thread(self._scrape, encoding)

        return side

    def _scrape(self, encoding: str) -> float:
        with self.load.going_on(f"{encoding}{len(self.told)}") as told:
            began = perf_counter()
            sleep(self.before)
            scraped = perf_counter()
            taken = self.server.scrape(encoding)
            ended = perf_counter()
            # The loop may only then be free to say how long it was held.
            sleep(_AFTER)
        self.told += told
        if self.beats is not None:
            held = held_since(self.beats, began)
            self.quiet.append(_longest(one for one in held if one.at < scraped))
            during = (one for one in held if scraped <= one.at < ended + one.late)
            self.busy.append(_longest(during))
        return taken

    def samples(self) -> int:
        """Return how many samples a scrape has; the same as text and in gzip."""
        plain = _samples(self.server.get("/metrics"))
        packed = self.server.get("/metrics", "gzip")
        if abs(_samples(zlib.decompress(packed, wbits=31)) - plain) > STEP:
            raise RuntimeError("a scrape in gzip has other samples than as text")
        return plain

    @property
    def slowest(self) -> Measured:
        """The longest times that a ping waited for its answer."""
        return Measured([one.longest for one in self.told])


def _longest(held: Iterable[Held]) -> Held:
    """Return the longest of all times, and the most CPU time in one of them."""
    every = list(held)
    return Held(
        at=0.0,
        late=max((one.late for one in every), default=0.0),
        cpu=max((one.cpu for one in every), default=0.0),
    )


def _samples(text: bytes) -> int:
    """Return how many samples *text* has."""
    lines, comments = text.count(b"\n"), text.count(b"\n#") + text.startswith(b"#")
    return lines - comments


async def measure(plan: Plan, ours: Scraped, theirs: Scraped) -> list[tuple[str, ...]]:
    """Return the lines about scrapes, and about what goes on meanwhile."""
    sides = [one.scraping(how) for one in (ours, theirs) for how in _ENCODINGS]
    plain, packed, their_plain, their_packed = await alternate(
        plan.rounds, *sides, warm=True
    )

    def line(
        what: str, mine: Measured, others: Measured, bar: float
    ) -> tuple[str, ...]:
        ratio = mine.over(others)
        found = verdict(ratio.median, bar)
        return what, mine.seconds(), others.seconds(), ratio.plain(), found

    waits = ours.slowest, theirs.slowest
    return [
        line("a scrape, 1 % of the jobs changed", plain, their_plain, PLAIN_BAR),
        line("the same in gzip", packed, their_packed, GZIP_BAR),
        ("a ping meanwhile, at the longest", *(one.seconds() for one in waits), "", ""),
    ]


def of_the_loop(ours: Scraped) -> list[tuple[str, ...]]:
    """Return the lines about the event loop.

    What is judged is the CPU time: the rest is other programs having the core.
    """
    quiet = [one.cpu for one in ours.quiet]
    late, busy = [one.late for one in ours.busy], [one.cpu for one in ours.busy]
    found = verdict(max(busy) * 1e3, HELD_BAR * 1e3, "ms")
    worst = f"; at worst {max(busy) * 1e3:,.0f} ms"
    return [
        ("the loop held, at the longest", Measured(late).seconds(), "", "", ""),
        ("of it CPU time", Measured(busy).seconds() + worst, "", "", found),
        ("of it CPU time, without a scrape", Measured(quiet).seconds(), "", "", ""),
    ]


def of_memory(ours: Daemon, theirs: Daemon) -> tuple[str, ...]:
    """Return the line about memory."""
    mine, others = ours.resident(), theirs.resident()
    shown = (f"{each / 2**20:,.0f} MiB" for each in (mine, others))
    ratio = mine / others
    return ("memory", *shown, f"{ratio:.3g}", verdict(ratio, MEMORY_BAR))


def main() -> int:
    """Print the table; return 1 when a bar is missed. ``--quick`` never misses."""
    quick = "--quick" in sys.argv
    plan = QUICK if quick else Plan()
    leave_the_servers_alone()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        noted = folder / "beats"
        config, database = registered_files(folder, plan.jobs, AGE)
        daemon = stack.enter_context(
            serving(config, database, pinned=True, beats=noted)
        )
        ours = Scraped(daemon, _load("single", daemon, plan), plan.before, noted)
        samples = ours.samples()

        server = stack.enter_context(pushgateway.pushgateway(checking=False))
        each = samples // plan.jobs
        pushgateway.fill(server, plan.jobs, each - pushgateway.OWN_SAMPLES)
        theirs = Scraped(server, _load("pushgateway", server, plan), plan.before)
        their_samples = theirs.samples()

        lines = asyncio.run(measure(plan, ours, theirs))
        lines += [*of_the_loop(ours), of_memory(daemon, server)]
    print(f"{plan.jobs:,} jobs, {samples:,} samples (Pushgateway: {their_samples:,})\n")
    print(table(HEAD, lines))
    return int(not quick and any("MISSED" in line[-1] for line in lines))


def _load(kind: Kind, server: Daemon, plan: Plan) -> Load:
    return Load(
        kind=kind,
        port=server.port,
        jobs=plan.jobs,
        step=STEP,
        connections=CONNECTIONS,
        delay=DELAY,
    )


if __name__ == "__main__":
    sys.exit(main())
