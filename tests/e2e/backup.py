"""A backup of orders, the real job of the tests: its database, its script, its cron."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, Self

from tests.patience import PATIENCE

from .processes import installed

SCRIPT: Final = Path(__file__).with_name("backup.sh")

#: What the script runs.
PROGRAMS: Final = ("sqlite3", "tar", "gzip", "curl")

#: What a good backup consists of.
MONTHS: Final = 1
ORDERS: Final = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What the script had to show for itself."""

    exit_code: int
    #: What the daemon answered to the end of the run; {} when it did not.
    answer: dict[str, Any]
    errors: str


class Backup:
    """The backup of one shop, as a job of its own."""

    def __init__(self, job: str, home: Path, url: str) -> None:
        for program in PROGRAMS:
            installed(program)
        self.job = job
        self._home = home
        self._database = home / f"{job}.db"
        self._url = f"{url}/ping/{job}"
        #: Where the last run put its files; runs may overlap, so each has its own.
        self._directory = home
        self._swallowed = ""
        self.mend()

    def mend(self, months: int = MONTHS, orders: int = ORDERS) -> None:
        """Put everything in order: so many months of so many orders each."""
        self._swallowed = ""
        rows = [
            (f"2026-{month + 1:02}", order)
            for month in range(months)
            for order in range(orders)
        ]
        with closing(sqlite3.connect(self._database)) as database, database:
            database.execute("DROP TABLE IF EXISTS orders")
            database.execute("CREATE TABLE orders (month, id, payment)")
            database.executemany(
                "INSERT INTO orders VALUES (?, ?, hex(randomblob(16)))", rows
            )

    def lose_table(self) -> None:
        """Take away what is to be dumped."""
        with closing(sqlite3.connect(self._database)) as database, database:
            database.execute("DROP TABLE orders")

    def swallow(self, file: str) -> None:
        """Let everything that is written to *file* disappear."""
        self._swallowed = file

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody read the database."""
        with closing(sqlite3.connect(self._database)) as database:
            database.execute("BEGIN EXCLUSIVE")
            yield

    def run(self) -> Report:
        """Run the script and return how it went."""
        directory = Path(mkdtemp(prefix=f"{self.job}-", dir=self._home))
        if self._swallowed:
            (directory / self._swallowed).symlink_to("/dev/null")
        self._directory = directory
        return _report(_start(SCRIPT, self._database, directory, self._url))

    def last_report(self) -> str:
        """Return what the script sent at the end of the last run."""
        return (self._directory / "report.json").read_text()

    def seconds(self) -> float:
        """Return how long the last run took, by its report."""
        return float(json.loads(self.last_report())["duration_ms"]) / 1000

    def repeat(self, report: str, times: int) -> list[Report]:
        """Send *report* again, *times* at once."""
        patience = ("-m", f"{PATIENCE:g}")
        command = ("curl", "-sS", *patience, "-d", report, self._url)
        repeats = [_start(*command) for _ in range(times)]
        return [_report(repeat) for repeat in repeats]


class Crontab:
    """Starts backups every few seconds, whether or not the last one has ended."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._backups: tuple[Backup, ...] = ()
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=64)
        self._runs: list[tuple[str, Future[Report]]] = []

    def __enter__(self) -> Self:
        self._pool.submit(self._work)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()

    def install(self, *backups: Backup) -> None:
        """Start these from now on, and no others."""
        self._backups = backups

    def reports(self, job: str) -> list[Report]:
        """Return how the runs of *job* went that have ended."""
        runs = [run for name, run in self._runs if name == job]
        return [run.result() for run in runs if run.done()]

    def _work(self) -> None:
        while True:
            for backup in self._backups:
                self._runs.append((backup.job, self._pool.submit(backup.run)))
            if self._over.wait(self._seconds):
                return


def _start(*command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _report(process: subprocess.Popen[str]) -> Report:
    """Wait for the end of *process*, and return how it went."""
    answer, errors = process.communicate()
    return Report(process.returncode, json.loads(answer) if answer else {}, errors)
