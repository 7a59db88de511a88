"""The script of examples/ asks a real queue and reports to a real daemon."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import HOST, Daemon
from tests.patience import PATIENCE

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def watching(daemon: Daemon) -> Daemon:
    """A daemon that goes by the example."""
    daemon.configure((EXAMPLES / "queue-health.yml").read_text("utf-8"))
    daemon.start()
    return daemon


def ask(queue: Path, daemon: Daemon) -> None:
    """Run the script as cron would."""
    url = f"http://{HOST}:{daemon.port}/ping/queue-health"
    subprocess.run(
        [EXAMPLES / "queue-health.sh", queue, url], check=True, timeout=PATIENCE
    )


def last_run(daemon: Daemon) -> tuple[str, str]:
    (run,) = daemon.rows("SELECT outcome, metrics FROM runs ORDER BY id DESC LIMIT 1")
    return run[0], run[1]


def test_the_script_reports_how_the_queue_is_doing(
    watching: Daemon, tmp_path: Path
) -> None:
    queue = tmp_path / "queue.db"
    with closing(sqlite3.connect(queue)) as database:
        database.executescript(
            """
            CREATE TABLE queue (paused INTEGER);
            CREATE TABLE jobs (state TEXT, since INTEGER);
            INSERT INTO queue VALUES (0);
            """
        )
        ask(queue, watching)
        idle = last_run(watching)
        database.executescript(
            """
            INSERT INTO jobs VALUES ('dead', 0), ('waiting', unixepoch() - 60);
            UPDATE queue SET paused = 1;
            """
        )
        ask(queue, watching)

    assert idle[0] == "ok"
    assert last_run(watching)[0] == "violated"
    (violations,) = watching.rows("SELECT violations FROM runs ORDER BY id")[1]
    assert "dlq-jobs" in violations
    assert "queue-paused" in violations
    assert "queue-backlog" not in violations


def test_a_queue_that_cannot_be_asked_is_a_failed_run(
    watching: Daemon, tmp_path: Path
) -> None:
    """And none with zero jobs in the dead letter queue."""
    ask(tmp_path / "no-such-queue.db", watching)

    assert last_run(watching)[0] == "fail"
    assert watching.series()["afterrun_job_failing", "queue-health"] == 1
