"""How soon is a restarted daemon of 10,000 jobs there again? For information."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.daemon import serving
from benchmarks.fleet import AGE, files
from benchmarks.rounds import Measured, table

SIZES: Final = (100, 10_000)
ROUNDS: Final = 3

HEAD: Final = (
    "a restart with",
    "ready after",
    "first scrape after",
    "it has",
    "memory",
)


class Restarts:
    """What restarts with the same files came to."""

    def __init__(self, folder: Path, size: int) -> None:
        self._size = size
        self._files = files(folder, size)
        self._ready: list[float] = []
        self._scraped: list[float] = []
        self._resident: list[int] = []
        self._answer = 0

    def once(self) -> None:
        """Start a daemon, scrape it once, stop it."""
        with serving(*self._files) as daemon:
            began = perf_counter()
            self._answer = len(daemon.get("/metrics"))
            self._ready.append(daemon.ready_after)
            self._scraped.append(daemon.ready_after + perf_counter() - began)
            self._resident.append(daemon.resident())

    def line(self) -> tuple[str, ...]:
        """Return the line of the table."""
        return (
            f"{self._size:,} jobs, {self._size * AGE:,} runs",
            Measured(self._ready).seconds(),
            Measured(self._scraped).seconds(),
            f"{self._answer / 2**20:.3g} MiB",
            f"{median(self._resident) / 2**20:.3g} MiB",
        )


def main() -> int:
    """Print the table; there is no bar to miss."""
    with TemporaryDirectory() as folder:
        fleets = [Restarts(Path(folder), size) for size in SIZES]
        for _ in range(ROUNDS):
            for fleet in fleets:
                fleet.once()
    print(table(HEAD, [fleet.line() for fleet in fleets]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
