"""Files of the database that are deleted or replaced under a running daemon."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import Daemon, wait_until

ERRORS = "afterrun_storage_errors_total", ""


def events(daemon: Daemon, event: str) -> int:
    """Return how many lines of the log are about *event*, and not a busy machine."""
    lines = [line for line in daemon.log.splitlines() if f"msg={event} " in line]
    return len([line for line in lines if "a transaction takes" not in line])


def test_a_database_that_is_deleted_is_noticed_without_a_report(daemon: Daemon) -> None:
    """Within a second or so, and an alert goes by the counter."""
    daemon.start()
    daemon.get("/ping/backup")

    daemon.database.unlink()

    wait_until(lambda: daemon.series()[ERRORS] > 1, "it is noticed, twice")
    assert events(daemon, "storage_failing") == 1
    assert "was deleted or moved while in use" in daemon.log


def test_reports_that_would_be_lost_are_refused(daemon: Daemon) -> None:
    """Seen: 50 of 50 answered 200, and all of them gone after a restart."""
    daemon.start()
    daemon.get("/ping/backup")
    elsewhere = daemon.database.rename(daemon.database.with_name("elsewhere.db"))

    answers = [daemon.get("/ping/backup") for _ in range(10)]

    assert {answer.status for answer in answers} == {503}
    assert "was deleted or moved while in use" in answers[0].json()["detail"]
    assert events(daemon, "storage_failing") == 1

    recovered = events(daemon, "storage_recovered")
    elsewhere.rename(daemon.database)
    wait_until(lambda: events(daemon, "storage_recovered") > recovered, "it is back")
    assert daemon.get("/ping/other").status == 200
    assert daemon.stop() == 0
    assert daemon.rows("SELECT count(*) FROM runs") == [(2,)]
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("name", ["", "-wal"])
def test_a_file_that_is_overwritten_is_noticed(daemon: Daemon, name: str) -> None:
    """The file is the same one, and SQLite goes by what it remembers of it."""
    daemon.start()
    daemon.get("/ping/backup")
    file = Path(f"{daemon.database}{name}")
    other = file.with_name("other")
    other.write_text("a letter to my grandmother " * 1000, "utf-8")

    subprocess.run(["cp", str(other), str(file)], check=True)

    wait_until(lambda: events(daemon, "storage_failing") == 1, "it is noticed")
    answer = daemon.get("/ping/backup")
    assert answer.status == 503
    assert f"cannot write to {file}: it was " in answer.json()["detail"]
