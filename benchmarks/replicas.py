"""What do one, two and three replicas on PostgreSQL take, next to one daemon on SQLite?

wrk sends single pings of 3 metrics to jobs with 2 rules and a schedule: to the daemon
on SQLite, which has a core of its own, and to replicas that share both cores with
PostgreSQL and wrk. The CPU time of a ping is that of all daemons, and apart from it
that of all processes of PostgreSQL. Two daemons on SQLite, which share nothing else, show
what these cores take at most.

Then, of two replicas with many jobs: the time from the answer of one replica until the
other shows the run, while others change; the time to another leader when the leader is
killed; and a scrape, next to one of SQLite.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.daemon import Connection, Daemon, serving
from benchmarks.fleet import registered_files
from benchmarks.rounds import Measured, Side, alternate, at_least, table, verdict
from benchmarks.wrk import Load
from tests.postgres import Server, running_server

#: Least ratio of the pings of two replicas to those of the daemon on SQLite, and
#: greatest one of the CPU time of a ping in the daemons.
RATE_BAR: Final = 1.2
CPU_BAR: Final = 1.3
#: In seconds: 99 in 100 changes are seen by the other replica, and another leads.
LAG_BAR: Final = 1.0
LEADER_BAR: Final = 5.0
#: Greatest ratio of the times of scrapes.
SCRAPE_BAR: Final = 1.1

#: So many that the cores are hardly idle: with fewer, replicas wait for clients.
CONNECTIONS: Final = 256
#: Runs that each job has behind it.
AGE: Final = 10
#: Changes in a second beside which the lag is measured.
CHANGES: Final = 2000

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    #: Of each side in each round.
    seconds: int = 5
    jobs: int = 10_000
    many: int = 100_000
    probes: int = 300


QUICK: Final = Plan(rounds=2, seconds=2, jobs=2000, many=5000, probes=30)


def server_cpu(server: Server) -> float:
    """Return the CPU seconds of all present and past processes of *server*."""
    ticks = 0
    root = str(server.pid)
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry.name == root:
            # With the children that have ended.
            ticks += sum(map(int, fields[11:15]))
        elif fields[1] == root:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


@dataclass
class Target:
    """Daemons that take pings for the same jobs."""

    daemons: Sequence[Daemon]
    jobs: int
    server: Server | None = None

    def __post_init__(self) -> None:
        self.cpu: list[float] = []
        self.server_cpu: list[float] = []
        self._numbers = count()

    def side(self, seconds: int) -> Side:
        """Return what measures how many pings a second the daemons take together."""

        async def measure() -> float:
            series = f"s{id(self)}-{next(self._numbers)}"
            used, theirs = self._used(), self._used_by_server()
            told = await asyncio.gather(
                *(
                    asyncio.to_thread(
                        Load(
                            kind="single",
                            port=one.port,
                            jobs=self.jobs,
                            connections=CONNECTIONS // len(self.daemons),
                            # Two replicas do not get reports of a job at once.
                            offset=number * self.jobs // len(self.daemons),
                        ).sent_for,
                        seconds,
                        f"{series}-{number}",
                    )
                    for number, one in enumerate(self.daemons)
                )
            )
            requests = sum(one.requests for one in told)
            self.cpu.append((self._used() - used) / requests)
            self.server_cpu.append((self._used_by_server() - theirs) / requests)
            return sum(one.rate for one in told)

        return measure

    def _used(self) -> float:
        return sum(one.cpu() for one in self.daemons)

    def _used_by_server(self) -> float:
        return server_cpu(self.server) if self.server is not None else 0.0


@contextmanager
def on_postgres(
    server: Server, config: Path, database: Path, replicas: int
) -> Iterator[list[Daemon]]:
    """Copy *database* to PostgreSQL, and run *replicas* on it."""
    url = server.new_database().url
    program = Path(sys.executable).with_name("afterrun")
    copy = (program, "migrate-storage", f"sqlite:{database}", url)
    subprocess.run(copy, check=True, stdout=subprocess.DEVNULL)
    with ExitStack() as stack:
        yield [stack.enter_context(serving(config, url)) for _ in range(replicas)]


async def rates(
    plan: Plan, server: Server, config: Path, database: Path
) -> list[tuple[str, ...]]:
    """Return the lines about pings in a second, and their CPU time."""
    lines: list[tuple[str, ...]] = []
    # One after another: replicas that have nothing to do still poll.
    for number in (1, 2, 3):
        with (
            on_postgres(server, config, database, number) as replicas,
            serving(config, database, pinned=True) as daemon,
        ):
            sqlite = Target([daemon], plan.jobs)
            shared = Target(replicas, plan.jobs, server)
            sides = [one.side(plan.seconds) for one in (sqlite, shared)]
            mine, theirs = await alternate(plan.rounds, *sides)
        ratio = theirs.over(mine)
        mine_cpu, cpu, their_cpu = (
            Measured(one[-plan.rounds :])
            for one in (sqlite.cpu, shared.cpu, shared.server_cpu)
        )
        more = cpu.over(mine_cpu)
        name = "1 replica" if number == 1 else f"{number} replicas"
        rate_bar = at_least(ratio.median, RATE_BAR) if number == 2 else ""
        cpu_bar = verdict(more.median, CPU_BAR)
        lines += [
            (f"pings to {name}", theirs.rate(), mine.rate(), ratio.plain(), rate_bar),
            (f"{name}: CPU of a ping in the daemons", cpu.seconds(),
             mine_cpu.seconds(), more.plain(), cpu_bar),
            (f"{name}: CPU of a ping in PostgreSQL", their_cpu.seconds(), "", "", ""),
        ]  # fmt: skip
    return lines


async def at_most(
    plan: Plan, config: Path, database: Path, others: Sequence[Path]
) -> list[tuple[str, ...]]:
    """Return the lines about daemons that share both cores with wrk, and nothing else."""
    with serving(config, database, pinned=True) as daemon, ExitStack() as stack:
        apart = [stack.enter_context(serving(config, one)) for one in others]
        sqlite, shared = Target([daemon], plan.jobs), Target(apart, plan.jobs)
        sides = [one.side(plan.seconds) for one in (sqlite, shared)]
        mine, theirs = await alternate(plan.rounds, *sides)
    mine_cpu, cpu = (Measured(one.cpu[-plan.rounds :]) for one in (sqlite, shared))
    name = f"{len(others)} daemons on SQLite"
    return [
        (f"pings to {name}", theirs.rate(), mine.rate(), theirs.over(mine).plain(), ""),
        (f"{name}: CPU of a ping", cpu.seconds(), mine_cpu.seconds(),
         cpu.over(mine_cpu).plain(), ""),
    ]  # fmt: skip


async def lag(plan: Plan, one: Daemon, other: Daemon) -> list[float]:
    """Return the times from the answer of *one* until *other* shows the run."""
    delay = round(1000 * CONNECTIONS / CHANGES)
    load = Load(
        kind="single",
        port=one.port,
        jobs=plan.many,
        connections=CONNECTIONS,
        delay=delay,
    )
    times: list[float] = []
    with load.going_on("others"):
        async with Connection.to(one) as here, Connection.to(other) as there:
            for number in range(plan.probes):
                run_id = f"probe-{number}"
                body = json.dumps({"run_id": run_id, "message": run_id}).encode()
                await here.ask(
                    b"POST /ping/probe HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                )
                began = time.perf_counter()
                while not await _shows(there, number + 1):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
                times.append(time.perf_counter() - began)
    return times


async def _shows(there: Connection, runs: int) -> bool:
    head = b"GET /api/v1/jobs/probe HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try:
        shown = json.loads(await there.ask(head))
    except RuntimeError:
        # Not there yet.
        return False
    return int(shown["runs"]) >= runs


def leads(daemon: Daemon) -> bool:
    """Return whether *daemon* is the leader."""
    return b"\nafterrun_leader 1" in daemon.get("/metrics?name[]=afterrun_leader")


def takeover(daemons: Sequence[Daemon]) -> float:
    """Kill the leader; return the seconds until another one leads."""
    while not any(leads(one) for one in daemons):
        time.sleep(0.05)
    (leader,) = (one for one in daemons if leads(one))
    others = [one for one in daemons if one is not leader]
    os.kill(leader.pid, signal.SIGKILL)
    began = time.perf_counter()
    while not any(leads(one) for one in others):
        time.sleep(0.02)
    return time.perf_counter() - began


async def many(
    plan: Plan, server: Server, config: Path, database: Path
) -> list[tuple[str, ...]]:
    """Return the lines about many jobs."""
    lines: list[tuple[str, ...]] = []
    with on_postgres(server, config, database, 3) as daemons:

        def scrape(daemon: Daemon) -> Side:
            async def measure() -> float:
                return await asyncio.to_thread(daemon.scrape)

            return measure

        with serving(config, database) as sqlite:
            theirs, mine = await alternate(
                plan.rounds, scrape(daemons[0]), scrape(sqlite)
            )
        ratio = theirs.over(mine)
        lines.append(
            (f"a scrape of {plan.many:,} jobs", theirs.seconds(), mine.seconds(),
             ratio.plain(), verdict(ratio.median, SCRAPE_BAR))
        )  # fmt: skip
        times = await lag(plan, daemons[0], daemons[1])
        worst = quantiles(times, n=100)[98]
        lines.append(
            (f"another replica shows a run, beside {CHANGES:,} changes a second",
             f"{median(times):.3f} s, 99 % within {worst:.3f} s", "", "",
             verdict(worst, LAG_BAR, "s"))
        )  # fmt: skip
        taken = await asyncio.to_thread(takeover, daemons)
        lines.append(
            ("another leader, once the leader is killed", f"{taken:.2f} s", "", "",
             verdict(taken, LEADER_BAR, "s"))
        )  # fmt: skip
    return lines


HEAD: Final = ("", "measured", "one daemon on SQLite", "ratio", "bar")


def main() -> int:
    """Print the table; return 1 when a bar is missed. ``--quick`` never misses."""
    quick = "--quick" in sys.argv
    plan = QUICK if quick else Plan()
    with TemporaryDirectory() as name, running_server() as server:
        files = registered_files(Path(name), plan.jobs, AGE)
        config, database = files
        others = [database.with_stem(f"other-{number}") for number in range(2)]
        for one in others:
            shutil.copy(database, one)
        lines = asyncio.run(at_most(plan, config, database, others))
        lines += asyncio.run(rates(plan, server, *files))
        files = registered_files(Path(name), plan.many, AGE)
        lines += asyncio.run(many(plan, server, *files))
    print(table(HEAD, lines))
    return int(not quick and any("MISSED" in line[-1] for line in lines))


if __name__ == "__main__":
    sys.exit(main())
