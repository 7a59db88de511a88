"""How many durable pings a second, next to pushes that Pushgateway keeps in memory?

wrk sends single pings of 3 metrics to jobs with 2 rules and a schedule, and pushes
of 3 gauges to Pushgateways, in rounds; all servers share one core, wrk has another.
In the end every ping that was acknowledged is looked up in the database.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import ledger, pushgateway
from benchmarks.daemon import Daemon, serving
from benchmarks.fleet import registered_files
from benchmarks.machine import leave_the_servers_alone, syncs
from benchmarks.rounds import Measured, Side, alternate, at_least, table, verdict
from benchmarks.wrk import Kind, Load, Told

#: Least ratios: to Pushgateway unchecked, to it as it comes, and of the large fleet
#: to the small one; least batched pings in a second.
UNCHECKED_BAR: Final = 1.0
CHECKED_BAR: Final = 30.0
SIZE_BAR: Final = 0.9
BATCH_BAR: Final = 60_000.0
#: In seconds, of 99 in 100 answers: over many connections, and over one, beyond
#: what the disk takes itself.
MANY_BAR: Final = 0.025
ONE_BAR: Final = 0.002

CONNECTIONS: Final = 32
MANY: Final = 256
#: A batch is 1,000 pings.
SENDERS: Final = 4
BATCH_SECONDS: Final = 3
#: Runs that each job has behind it.
AGE: Final = 10
SYNCS: Final = 1000

HEAD: Final = ("on one core", "ours", "next to", "theirs", "ratio", "bar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int = 7
    #: Of each side in each round.
    seconds: int = 4
    small: int = 1000
    jobs: int = 10_000
    large: int = 100_000
    #: Without a round to warm up.
    warm: bool = False


QUICK: Final = Plan(rounds=2, seconds=1, small=500, jobs=2000, large=10_000, warm=True)


@dataclass
class Target:
    """A server that pings are sent to, and those of them that it acknowledged."""

    server: Daemon
    load: Load
    folder: Path
    database: Path | None = None
    series: list[ledger.Series] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    #: CPU seconds that a ping took, each time that they were sent.
    cpu: list[float] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def send(self, load: Load, seconds: int) -> Told:
        """Send *load*; remember what was acknowledged."""
        name = f"{load.kind}{next(self._numbers)}"
        file = self.folder / f"{self.load.port}-{name}.txt"
        used = self.server.cpu()
        told = load.sent_for(seconds, name, file if self.database else None)
        self.told.append(told)
        self.cpu.append((self.server.cpu() - used) / told.requests)
        if self.database:
            if not told.answered:
                raise RuntimeError(f"nothing was acknowledged: {told}")
            self.series.append(ledger.Series(name, file, told.sent))
        return told


@dataclass(frozen=True, slots=True)
class Targets:
    """All servers, each ready."""

    small: Target
    ours: Target
    large: Target
    unchecked: Target
    checked: Target

    def with_databases(self) -> Sequence[Target]:
        return self.small, self.ours, self.large


def rate(target: Target, load: Load, seconds: int) -> Side:
    """Return what measures how many pings a second *target* takes."""

    async def side() -> float:
        return (await asyncio.to_thread(target.send, load, seconds)).rate

    return side


def slowest(target: Target, connections: int, seconds: int) -> Side:
    """Return what measures the time within which 99 in 100 are answered."""
    load = target.load.over(connections)

    async def side() -> float:
        return (await asyncio.to_thread(target.send, load, seconds)).p99

    return side


def disk(folder: Path) -> Side:
    """Return what measures the time within which 99 in 100 writes are synced."""

    async def side() -> float:
        return quantiles(syncs(folder, SYNCS), n=100)[98]

    return side


async def single(plan: Plan, to: Targets) -> list[tuple[str, ...]]:
    """Return the lines about single pings in a second."""
    every = (to.ours, to.unchecked, to.checked, to.small, to.large)
    sides = (rate(one, one.load, plan.seconds) for one in every)
    ours, unchecked, checked, small, large = await alternate(
        plan.rounds, *sides, warm=plan.warm
    )

    def line(
        what: str, mine: Measured, name: str, theirs: Measured, bar: float
    ) -> tuple[str, ...]:
        ratio = mine.over(theirs)
        found = at_least(ratio.median, bar)
        return what, mine.rate(), name, theirs.rate(), ratio.plain(), found

    cpu, their_cpu = (Measured(one.cpu[-plan.rounds :]) for one in every[:2])
    what = f"pings to {plan.jobs:,} jobs, {CONNECTIONS} connections"
    name = f"Pushgateway, {plan.jobs:,} groups, unchecked"
    default = f"Pushgateway as it comes, {plan.small:,} groups"
    fleets = f"pings to {plan.large:,} jobs", f"ours, {plan.small:,} jobs"
    return [
        line(what, ours, name, unchecked, UNCHECKED_BAR),
        ("the same: CPU of a ping", cpu.seconds(), name, their_cpu.seconds(),
         cpu.over(their_cpu).plain(), ""),
        line(what, ours, default, checked, CHECKED_BAR),
        line(fleets[0], large, fleets[1], small, SIZE_BAR),
    ]  # fmt: skip


async def waiting(plan: Plan, to: Targets, folder: Path) -> list[tuple[str, ...]]:
    """Return the lines about the time to an answer."""
    seconds = max(1, plan.seconds // 2)
    over_many = (slowest(one, MANY, seconds) for one in (to.ours, to.unchecked))
    many, theirs = await alternate(plan.rounds, *over_many, warm=plan.warm)
    alone = (slowest(one, 1, seconds) for one in (to.ours, to.unchecked))
    one, their_one, sync = await alternate(
        plan.rounds, *alone, disk(folder), warm=plan.warm
    )
    beyond = one.less(sync)
    half = Measured([told.p50 for told in to.ours.told[-plan.rounds :]])
    their_half = Measured([told.p50 for told in to.unchecked.told[-plan.rounds :]])
    name = "Pushgateway, unchecked"
    ratios = [many.over(theirs).plain(), one.over(their_one).plain()]
    found = verdict(many.median * 1e3, MANY_BAR * 1e3, "ms")
    return [
        (f"99 % within, {MANY} connections", many.seconds(), name, theirs.seconds(),
         ratios[0], found),
        ("half within, 1 connection", half.seconds(), name, their_half.seconds(),
         half.over(their_half).plain(), ""),
        ("99 % within, 1 connection", one.seconds(), name, their_one.seconds(),
         ratios[1], ""),
        ("the same, beyond the disk's fsync", beyond.seconds(), "99 % of fsyncs within",
         sync.seconds(), "", verdict(beyond.median * 1e3, ONE_BAR * 1e3, "ms")),
    ]  # fmt: skip


async def batched(plan: Plan, to: Targets) -> list[tuple[str, ...]]:
    """Return the line about batches."""
    load = Load(kind="batch", port=to.ours.load.port, jobs=plan.jobs)
    # A slow daemon needs a while for the first ones.
    side = rate(to.ours, load.over(SENDERS), max(plan.seconds, BATCH_SECONDS))
    (ours,) = await alternate(plan.rounds, side, warm=plan.warm)
    found = at_least(ours.median, BATCH_BAR)
    return [("pings in NDJSON batches of 1,000", ours.rate(), "", "", "", found)]


async def measure(plan: Plan, to: Targets, folder: Path) -> list[tuple[str, ...]]:
    """Return the lines of the table."""
    return [
        *await single(plan, to),
        *await waiting(plan, to, folder),
        *await batched(plan, to),
    ]


@contextmanager
def targets(plan: Plan, folder: Path) -> Iterator[Targets]:
    """Found the fleets and start the servers; stop them in the end."""
    with ExitStack() as stack:

        def ours(size: int) -> Target:
            config, database = registered_files(folder, size, AGE)
            server = stack.enter_context(serving(config, database, pinned=True))
            return target("single", server, size, database)

        def theirs(size: int, *, checking: bool) -> Target:
            server = stack.enter_context(pushgateway.pushgateway(checking=checking))
            pushgateway.fill(server, size)
            return target("pushgateway", server, size)

        def target(
            kind: Kind, server: Daemon, jobs: int, database: Path | None = None
        ) -> Target:
            load = Load(kind=kind, port=server.port, jobs=jobs, connections=CONNECTIONS)
            return Target(server, load, folder, database)

        yield Targets(
            small=ours(plan.small),
            ours=ours(plan.jobs),
            large=ours(plan.large),
            unchecked=theirs(plan.jobs, checking=False),
            checked=theirs(plan.small, checking=True),
        )


def audited(found: Targets) -> str:
    """Return how many pings were acknowledged; raise when one is not stored."""
    counts = [
        ledger.audit(one.database, one.series)
        for one in found.with_databases()
        if one.database is not None
    ]
    acknowledged = sum(one.acknowledged for one in counts)
    unheard = sum(one.unheard for one in counts)
    compared = sum(one.compared for one in counts)
    return (
        f"{acknowledged:,} pings were acknowledged: each is in the database, once. "
        f"{unheard:,} more are, whose answer wrk did not wait for. "
        f"The metrics of {compared:,} were compared with what was sent."
    )


def main() -> int:
    """Print the table; return 1 when a bar is missed. ``--quick`` never misses."""
    quick = "--quick" in sys.argv
    leave_the_servers_alone()
    plan = QUICK if quick else Plan()
    with TemporaryDirectory() as name:
        folder = Path(name)
        with targets(plan, folder) as found:
            lines = asyncio.run(measure(plan, found, folder))
        told = audited(found)
    print(table(HEAD, lines))
    print(f"\n{told}")
    return int(not quick and any("MISSED" in line[-1] for line in lines))


if __name__ == "__main__":
    sys.exit(main())
