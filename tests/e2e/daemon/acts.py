"""What tests of the daemon's process do to it, and look at."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

from tests.e2e.daemon.daemon import (
    HOST,
    Daemon,
)
from tests.e2e.daemon.load import RunKey

#: No one may make files here, not even root.
READ_ONLY = Path("/proc/afterrun.db")

RUNS_TOTAL = "afterrun_job_runs_total"

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


@contextmanager
def writing_is_held_up(daemon: Daemon) -> Iterator[None]:
    """Somebody else writes to the database, and takes a while."""
    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
