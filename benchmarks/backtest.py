"""How long does it take to try rules on past runs, and how long is the loop held?

On one job with 1,000 runs over the API; and with `afterrun backtest` on a file of
1,000 jobs with 32 runs each. Pings wait for as long as the event loop is held.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from afterrun_exporter.storage.sqlite.store import SQLiteStore
from benchmarks.beats import held_since
from benchmarks.daemon import Daemon, serving
from benchmarks.fleet import age, config_text, read
from benchmarks.machine import leave_the_servers_alone
from benchmarks.rounds import Measured, table, verdict

RUNS: Final = 1000
JOBS: Final = 1000
#: Runs that each of many jobs has behind it.
AGE: Final = 32
ROUNDS: Final = 20
QUICK: Final = 3
#: Seconds of CPU that the loop may be held.
BAR: Final = 0.02

HEAD: Final = (
    "rules are tried on",
    "takes",
    "answers",
    "the loop was held",
    "CPU",
    "bar",
)

#: Nothing is forgotten while this goes on: the runs are a day apart.
_KEPT: Final = "\nretention: {runs: 3660d, runs_per_job: 1000}\n"
#: Every run breaks all of them, and of no more runs is told at once.
_WORST: Final = {"rules": [f"rows_processed < {n}" for n in range(100)], "limit": 500}
_AFTERRUN: Final = Path(sys.executable).with_name("afterrun")

#: Tries rules once; returns the bytes of the answers.
Try = Callable[[Daemon, Path], int]


def one_job(body: dict[str, object]) -> Try:
    """Return what asks the API about the first job."""

    def once(daemon: Daemon, _: Path) -> int:
        connection = HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        connection.request("POST", "/api/v1/jobs/job-00000/backtest", json.dumps(body))
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if answer.status != 200 or json.loads(said)["runs"] != RUNS:
            raise RuntimeError(f"it was answered {answer.status}: {said[:200]!r}")
        return len(said)

    return once


def every_job(daemon: Daemon, config: Path) -> int:
    """Run the command on the whole file."""
    command = (str(_AFTERRUN), "backtest", "--json", f"--config.file={config}")
    said = subprocess.check_output((*command, f"--url=http://127.0.0.1:{daemon.port}"))
    if len(json.loads(said)["jobs"]) != JOBS:
        raise RuntimeError(f"not every job was tried: {said[:200]!r}")
    return len(said)


def files(folder: Path, size: int, runs: int) -> tuple[Path, Path]:
    """Write an afterrun.yml of *size* jobs, and a database of so many *runs* of each."""
    text, database = folder / f"{size}.yml", folder / f"{size}.db"
    text.write_text(config_text(size) + _KEPT, "utf-8")

    async def fill() -> None:
        async with SQLiteStore.open(database) as store:
            await age(store, read(size).jobs, runs)

    asyncio.run(fill())
    return text, database


def line(
    what: str, where: tuple[Path, Path], try_: Try, rounds: int
) -> tuple[tuple[str, ...], float]:
    """Return a line of the table, and how long the loop was held at most."""
    config, database = where
    beats, taken, size = database.with_suffix(".beats"), [], 0
    with serving(config, database, pinned=True, beats=beats) as daemon:
        try_(daemon, config)
        since = perf_counter()
        for _ in range(rounds):
            began = perf_counter()
            size = try_(daemon, config)
            taken.append(perf_counter() - began)
        held = held_since(beats, since)
    late = max((one.late for one in held), default=0.0)
    cpu = max((one.cpu for one in held), default=0.0)
    kept = verdict(cpu, BAR, "s")
    told = f"{size / 1024:,.0f} KiB"
    times = Measured(taken).seconds()
    return (what, times, told, f"{late * 1e3:.3g} ms", f"{cpu * 1e3:.3g} ms", kept), cpu


def main() -> int:
    """Print the table; return 1 when the bar is missed. ``--quick`` never misses."""
    quick = "--quick" in sys.argv
    rounds = QUICK if quick else ROUNDS
    leave_the_servers_alone()
    with TemporaryDirectory() as folder:
        one = files(Path(folder), 1, RUNS)
        many = files(Path(folder), JOBS, AGE)
        lines = [
            line("a job with 1,000 runs: its own 2", one, one_job({}), rounds),
            line("the same: 100, all broken by all", one, one_job(_WORST), rounds),
            line("1,000 jobs with 32 runs: a file", many, every_job, QUICK),
        ]
    print(table(HEAD, [cells for cells, _ in lines]))
    return int(not quick and any(held > BAR for _, held in lines))


if __name__ == "__main__":
    sys.exit(main())
