"""A daemon goes on where a daemon of an earlier version stopped."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.daemon.daemon import AFTERRUN, Daemon
from tests.patience import PATIENT
from tests.postgres import Database
from tests.upgrades.versions import VERSIONS

ON_POSTGRES: Final = [one for one in VERSIONS if (one / "postgres.sql").exists()]
RUNS: Final = (
    "SELECT jobs.name, run_id, outcome, message FROM runs "
    "JOIN jobs ON jobs.id = runs.job_id ORDER BY runs.id"
)

each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda one: one.name)


@each_version
def test_it_continues_with_the_database(
    daemon: Daemon, version: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(daemon.database)) as connection:
        connection.executescript((version / "afterrun.sql").read_text("utf-8"))
    before = daemon.rows(RUNS)
    configure(daemon, version)
    daemon.start()

    continue_with(daemon, version, tmp_path)

    assert len(before) >= 7
    assert daemon.rows(RUNS)[: len(before)] == before
    assert daemon.stop() == 0


@pytest.mark.parametrize("version", ON_POSTGRES, ids=lambda one: one.name)
def test_it_continues_with_the_postgresql_database(
    daemon: Daemon, version: Path, postgres: Database, tmp_path: Path
) -> None:
    postgres.psql((version / "postgres.sql").read_text("utf-8"))
    before = postgres.psql(RUNS)
    configure(daemon, version)
    daemon.storage = postgres.url
    daemon.start()

    continue_with(daemon, version, tmp_path)

    assert len(before.splitlines()) >= 7
    assert postgres.psql(RUNS).startswith(before)
    assert daemon.stop() == 0


def configure(daemon: Daemon, version: Path) -> None:
    """Use the configuration of *version*, without its tokens."""
    text = (version / "afterrun.yml").read_text("utf-8")
    daemon.configure(text.partition("\nauth:")[0])


def continue_with(daemon: Daemon, version: Path, folder: Path) -> None:
    """Check the states, then report: again, better, and what is in the spool."""
    assert state(daemon, "nightly-backup") == "violated"
    assert state(daemon, "crm-sync") == "failing"
    assert state(daemon, "reindex") == "running"

    repeat = ping(daemon, "nightly-backup", run_id="n2", metrics={"rows_processed": 0})
    assert repeat["duplicate"]
    ping(daemon, "crm-sync", run_id="c4", metrics={"error_ratio": 0})
    ping(daemon, "reindex", run_id="r1", metrics={"documents": 5})
    assert state(daemon, "crm-sync") == "ok"
    assert state(daemon, "reindex") == "ok"
    if (version / "spool").exists():
        deliver(daemon, version, folder / "spool")


def deliver(daemon: Daemon, version: Path, spool: Path) -> None:
    """Deliver the report that a client of *version* could not deliver."""
    shutil.copytree(version / "spool", spool)
    command = [str(AFTERRUN), "spool", "flush", "--all", *PATIENT]
    options = [f"--url={daemon.url}", f"--spool={spool}"]
    subprocess.run([*command, *options], check=True, capture_output=True)

    newest = daemon.get("/api/v1/jobs/nightly-backup/runs").json()["runs"]
    assert "spooled" in {run["run_id"] for run in newest}
    assert not [*spool.glob("*.json")]


def ping(daemon: Daemon, job: str, **fields: object) -> Any:
    """Report a run; return the response."""
    answer = daemon.post(f"/ping/{job}", fields)
    assert answer.status == 200, answer.text
    return answer.json()


def state(daemon: Daemon, job: str) -> str:
    """Return the state of *job* in one word."""
    found: str = daemon.get(f"/api/v1/jobs/{job}").json()["state"]
    return found
