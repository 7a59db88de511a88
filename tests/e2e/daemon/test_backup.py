"""Backing up a database under load, and restoring it elsewhere."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.e2e.daemon.acts import recorded
from tests.e2e.daemon.conftest import MakeDaemon
from tests.e2e.daemon.daemon import AFTERRUN, Daemon, Ended, until
from tests.e2e.daemon.load import Load, configuration
from tests.patience import PATIENCE


def afterrun(command: str, file: Path, daemon: Daemon, *flags: str) -> Ended:
    """Run `afterrun backup` or `afterrun restore` for the database of *daemon*."""
    where = f"--storage.path={daemon.database}"
    done = subprocess.run(
        [str(AFTERRUN), command, str(file), where, *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def ask(file: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def log_of(daemon: Daemon) -> Path:
    return Path(f"{daemon.database}-wal")


async def test_a_backup_under_load_has_all_that_was_answered_before(
    daemon: Daemon, make_daemon: MakeDaemon, tmp_path: Path, rng: random.Random
) -> None:
    """It ends while reports go on, and a daemon elsewhere goes on with it."""
    daemon.configure(configuration())
    daemon.start()
    load = Load(daemon.url, rng, "load", 16)
    running = asyncio.create_task(load.run())
    await until(lambda: len(load.ledger.answered) > 300, "it is under load")
    before = set(load.ledger.answered)
    copy = tmp_path / "copy.db"

    ended = await asyncio.to_thread(afterrun, "backup", copy, daemon)

    during = len(load.ledger.answered)
    load.stop()
    await running
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"backed up {daemon.database} to {copy}: ")
    assert during > len(before)
    assert not load.ledger.strange
    assert ask(copy, "PRAGMA integrity_check") == [("ok",)]
    assert copy.stat().st_mode & 0o777 == 0o600

    other = make_daemon()
    other.configure(configuration())
    restored = afterrun("restore", copy, other)

    assert (restored.code, restored.stderr) == (0, "")
    other.start()
    assert recorded(other) >= before
    job, run_id = next(iter(before))
    again = other.post(f"/ping/{job}", {"run_id": run_id})
    assert again.json()["duplicate"] is True


@pytest.mark.parametrize("flags", [(), ("--force",)])
def test_a_restore_under_a_running_daemon_is_refused(
    daemon: Daemon, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """It would lose what is reported from then on."""
    daemon.start()
    daemon.get("/ping/backup")
    copy = tmp_path / "copy.db"
    assert afterrun("backup", copy, daemon).code == 0

    ended = afterrun("restore", copy, daemon, *flags)

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: database '{daemon.database}' is in use by another afterrun: "
        "stop that one, or choose another --storage.path\n"
    )
    assert daemon.get("/ping/other").status == 200


def test_a_restore_does_not_replay_the_log_of_the_database_before(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Seen: `cp copy.db afterrun.db` beside a stale log: 917 rows instead of 418."""
    daemon.start()
    daemon.get("/ping/first")
    copy = tmp_path / "copy.db"
    assert afterrun("backup", copy, daemon).code == 0
    for number in range(50):
        daemon.get(f"/ping/later-{number}")
    daemon.kill()
    assert log_of(daemon).stat().st_size

    refused = afterrun("restore", copy, daemon)
    restored = afterrun("restore", copy, daemon, "--force")

    aside = Path(f"{daemon.database}.before-restore")
    assert (refused.code, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"afterrun: there is a database at '{daemon.database}': replace it with "
        "--force; it will be kept as 'afterrun.db.before-restore'\n"
    )
    assert restored.code == 0
    assert restored.stdout.splitlines()[1:] == [f"the previous database is now {aside}"]
    daemon.start()
    assert daemon.rows("SELECT name FROM jobs") == [("first",)]
    assert ask(aside, "SELECT count(*) FROM runs") == [(51,)]


def test_a_database_whose_daemon_was_killed_is_backed_up_whole(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Also what is in its log."""
    daemon.start()
    for number in range(20):
        daemon.get(f"/ping/job-{number}")
    daemon.kill()
    copy = tmp_path / "copy.db"

    assert afterrun("backup", copy, daemon).code == 0

    assert ask(copy, "SELECT count(*) FROM runs") == [(20,)]


def test_a_database_that_was_deleted_is_saved_while_its_daemon_runs(
    daemon: Daemon, tmp_path: Path
) -> None:
    """As the runbook says: the files are there until they are closed."""
    daemon.start()
    for number in range(20):
        daemon.get(f"/ping/job-{number}")
    daemon.database.unlink()
    saved = tmp_path / "saved.db"
    links: dict[str, Path] = {}
    for file in Path(f"/proc/{daemon.pid}/fd").iterdir():
        # Connections end meanwhile.
        with suppress(FileNotFoundError):
            links[str(file.readlink())] = file
    shutil.copyfile(links[f"{daemon.database} (deleted)"], saved)
    shutil.copyfile(links[f"{daemon.database}-wal"], f"{saved}-wal")
    daemon.kill()

    assert afterrun("restore", saved, daemon).code == 0

    daemon.start()
    assert daemon.rows("SELECT count(*) FROM runs") == [(20,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_restore_by_root_is_for_the_user_of_the_daemon(
    daemon: Daemon, tmp_path: Path
) -> None:
    """It could not be opened otherwise."""
    daemon.start()
    daemon.get("/ping/backup")
    copy = tmp_path / "copy.db"
    assert afterrun("backup", copy, daemon).code == 0
    assert daemon.stop() == 0
    folder = daemon.database.parent / "of-another-user"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    elsewhere = Daemon(folder)

    assert afterrun("restore", copy, elsewhere).code == 0

    for file in (elsewhere.database, Path(f"{elsewhere.database}.lock")):
        assert file.stat().st_uid == 65534
