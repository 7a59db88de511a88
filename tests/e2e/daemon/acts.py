"""What tests of the daemon's process do to it, and look at."""

from __future__ import annotations

import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests.e2e.daemon.daemon import (
    HOST,
    Daemon,
)
from tests.e2e.daemon.load import RunKey
from tests.patience import PATIENCE

#: No one may make files here, not even root.
READ_ONLY = Path("/proc/afterrun.db")

RUNS_TOTAL = "afterrun_job_runs_total"

#: A line of a log that only tells that the machine is busy, in logfmt or JSON.
BUSY: Final = re.compile(
    r'\bmsg"?[=:] ?"?'
    r"(suspended|storage_failing|storage_recovered|slow_connections_closed)\b"
)

#: Seconds for which the daemon waits for a lock on its database.
LOCK_SECONDS: Final = 5.0

ReloadBy = Callable[[Daemon], None]

BAD_CONFIG = """\
defaults: {grace: soon}
jobs:
  backup: {every: 1h, grcae: 5m}
  sync: {every: never}
"""


def problems(daemon: Daemon) -> list[str]:
    """Return what is to be said about `BAD_CONFIG`: where each problem is."""
    return [
        f"{daemon.config}:1: defaults.grace: ",
        f"{daemon.config}:3: jobs.backup.grcae: unknown key; did you mean 'grace'?",
        f"{daemon.config}:4: jobs.sync.every: ",
    ]


def count(daemon: Daemon) -> int:
    """Return how many runs are recorded."""
    ((runs,),) = daemon.rows("SELECT count(*) FROM runs")
    return int(runs)


def recorded(daemon: Daemon) -> set[RunKey]:
    """Return which runs are recorded."""
    sql = "SELECT name, run_id FROM runs r JOIN jobs j ON j.id = job_id"
    return set(daemon.rows(sql))


def lines_about_jobs(daemon: Daemon) -> list[str]:
    """Return what is exposed of the jobs, as it stands there."""
    return [
        line
        for line in daemon.get("/metrics").text.splitlines()
        if 'job_name="' in line
    ]


def log_lines(daemon: Daemon) -> list[str]:
    """Return the lines of the log, without those about a busy machine."""
    return [line for line in daemon.log.splitlines() if not BUSY.search(line)]


def listens(port: int) -> bool:
    """Return whether a new connection is let in."""
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return False
    return True


def ping(
    connection: HTTPConnection, job: str, status: int = 200, body: str = ""
) -> None:
    """Report on a connection that is used again."""
    connection.request("POST", f"/ping/{quote(job)}", body)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == status


@dataclass
class HeldUp:
    """How writing to the database was held up."""

    #: True if the daemon may have given up. A test then begins again.
    is_too_long: bool = False


@contextmanager
def writing_is_held_up(daemon: Daemon) -> Iterator[HeldUp]:
    """Somebody else writes to the database, and takes a while."""
    held_up = HeldUp()
    # The daemon may be writing, on a busy machine for a while.
    connection = sqlite3.connect(daemon.database, PATIENCE, isolation_level=None)
    with closing(connection) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        yield held_up
        other.execute("ROLLBACK")
        held_up.is_too_long = time.monotonic() - began >= LOCK_SECONDS
