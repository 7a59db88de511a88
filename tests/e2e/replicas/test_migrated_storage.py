"""A daemon goes on in PostgreSQL with all that it had in SQLite."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.daemon.daemon import AFTERRUN, Daemon, wait_until
from tests.e2e.replicas.asking import accepted
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.replica import about_jobs
from tests.postgres import PASSWORD, Database

CONFIG: Final = """\
jobs:
  nightly: {every: 300d, rules: [rows > 5]}
  weekly: {every: 300d, depends_on: [nightly]}
  long: {max_runtime: 300d}
"""
#: Enough that the copy takes several transactions.
LOGS: Final = 45_000

#: Of an error of the command, which gives up a connection after seconds.
SLOW: Final = "no answer within"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a file, which has had reports."""
    daemon = Daemon(tmp_path)
    daemon.configure(CONFIG)
    daemon.start()
    report(daemon)
    yield daemon
    daemon.kill()


def report(daemon: Daemon) -> None:
    """Have jobs that are fine, fail, break a rule, run, are paused, and retry."""
    for job, body in (
        ("nightly", {"status": "ok", "metrics": {"rows": 3}, "run_id": "n1"}),
        ("weekly", {"status": "fail", "exit_code": 3, "message": "no\0space \u2603"}),
        ("long", {"status": "start", "run_id": "l1"}),
        ("free", {"status": "ok", "metrics": {"rows": 1.5}}),
        ("tried", {"status": "fail", "attempt": 1, "max_attempts": 3, "run_id": "t"}),
    ):
        answer = daemon.post(f"/ping/{job}", body)
        assert answer.status == 200, answer.text
    assert daemon.post("/api/v1/jobs/free/pause", {"for": "30d"}).status == 200


def migration(daemon: Daemon, database: Database) -> subprocess.Popen[str]:
    source, target = f"sqlite:{daemon.database}", database.url
    return subprocess.Popen(
        [str(AFTERRUN), "migrate-storage", source, target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def migrated(daemon: Daemon, database: Database) -> str:
    """Return the output of a migration, which is repeated if the server is slow."""
    while True:
        output, errors = migration(daemon, database).communicate()
        if SLOW not in errors:
            return f"{output}{errors}"


def add_logs(path: Path) -> None:
    """Add log messages to a database that no daemon uses."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO logs (job_id, at, message, metadata) VALUES (1, ?, ?, '')",
            ((float(n), f"message {n}") for n in range(LOGS)),
        )


def test_the_metrics_of_jobs_are_the_same_after_the_move(
    daemon: Daemon, postgres: Database, make_replicas: MakeReplicas
) -> None:
    """Also if the command was killed on the way."""
    before = about_jobs(daemon.get("/metrics").text)
    alerts = daemon.get("/api/v1/alerts").json()["alerts"]
    assert "is in use by another afterrun" in migrated(daemon, postgres)
    daemon.stop()
    add_logs(daemon.database)

    moving = migration(daemon, postgres)
    wait_until(
        lambda: moving.poll() is not None or copied_logs(postgres) > 0,
        "some rows are copied",
    )
    moving.send_signal(signal.SIGKILL)
    moving.communicate()
    replicas = make_replicas(postgres.url)
    if moving.returncode and copied_logs(postgres) > 0:
        ended = replicas[0].ended()
        assert "migrate-storage" in ended.stderr
        assert PASSWORD not in ended.stderr
    output = migrated(daemon, postgres)

    assert "all rows are equal" in output
    assert PASSWORD not in output
    assert copied_logs(postgres) == LOGS
    replicas.configure(CONFIG)
    replicas.start()
    for replica in replicas:
        assert replica.about_jobs() == before
        answer = accepted(replica.get, "/api/v1/alerts")
        assert answer.json()["alerts"] == alerts
    body = {"status": "ok", "metrics": {"rows": 3}, "run_id": "n1"}
    repeat = accepted(replicas[1].post, "/ping/nightly", body)
    assert repeat.json()["duplicate"]
    answer = accepted(replicas[0].get, "/api/v1/jobs/weekly/runs")
    (run,) = answer.json()["runs"]
    assert run["message"] == "no\0space \u2603"


def copied_logs(database: Database) -> int:
    exists = "SELECT to_regclass('logs') IS NOT NULL"
    if database.psql(exists) != "t":
        return 0
    return int(database.psql("SELECT count(*) FROM logs"))


def test_the_old_daemon_goes_on_with_its_file(
    daemon: Daemon, tmp_path: Path, postgres: Database
) -> None:
    """Nothing in it has changed."""
    before = about_jobs(daemon.get("/metrics").text)
    daemon.stop()
    copy = shutil.copy(daemon.database, tmp_path / "copy.db")

    output = migrated(daemon, postgres)

    assert "all rows are equal" in output
    assert Path(copy).read_bytes() == daemon.database.read_bytes()
    daemon.start()
    assert about_jobs(daemon.get("/metrics").text) == before
