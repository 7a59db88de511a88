"""How soon is a restarted daemon of 100,000 jobs and 1,000,000 runs there again?

It has one core, and its files are in the memory that the kernel keeps of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.daemon import serving
from benchmarks.fleet import registered_files
from benchmarks.machine import leave_the_servers_alone
from benchmarks.rounds import Measured, table, verdict

SIZES: Final = (10_000, 100_000)
QUICK: Final = (1000, 5000)
ROUNDS: Final = 3
#: Runs that each job has behind it.
AGE: Final = 10
#: In seconds, from the start of the process to the end of its first scrape.
BAR: Final = 5.0

HEAD: Final = (
    "a restart with",
    "ready after",
    "first scrape after",
    "it has",
    "memory",
    "bar",
)


class Restarts:
    """What restarts with the same files came to."""

    def __init__(self, folder: Path, size: int) -> None:
        self._size = size
        self._files = registered_files(folder, size, AGE)
        self._ready: list[float] = []
        self._resident: list[int] = []
        self._answer = 0
        #: When the first scrape had been served.
        self.scraped: list[float] = []

    def once(self) -> None:
        """Start a daemon, scrape it once, stop it."""
        with serving(*self._files, pinned=True) as daemon:
            began = perf_counter()
            self._answer = len(daemon.get("/metrics"))
            self._ready.append(daemon.ready_after)
            self.scraped.append(daemon.ready_after + perf_counter() - began)
            self._resident.append(daemon.resident())

    def line(self, bar: str) -> tuple[str, ...]:
        """Return the line of the table."""
        return (
            f"{self._size:,} jobs, {self._size * AGE:,} runs",
            Measured(self._ready).seconds(),
            Measured(self.scraped).seconds(),
            f"{self._answer / 2**20:.3g} MiB",
            f"{median(self._resident) / 2**20:.3g} MiB",
            bar,
        )


def main() -> int:
    """Print the table; return 1 when the bar is missed. ``--quick`` never misses."""
    quick = "--quick" in sys.argv
    leave_the_servers_alone()
    with TemporaryDirectory() as folder:
        fleets = [Restarts(Path(folder), size) for size in (QUICK if quick else SIZES)]
        for _ in range(2 if quick else ROUNDS):
            for fleet in fleets:
                fleet.once()
    small, large = fleets
    needed = median(large.scraped)
    print(table(HEAD, [small.line(""), large.line(verdict(needed, BAR, "s"))]))
    return int(not quick and needed > BAR)


if __name__ == "__main__":
    sys.exit(main())
