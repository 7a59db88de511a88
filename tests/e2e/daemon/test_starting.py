"""A start that cannot be, and checking before one."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from tests.e2e.daemon.acts import (
    BAD_CONFIG,
    READ_ONLY,
    problems,
)
from tests.e2e.daemon.conftest import MakeDaemon
from tests.e2e.daemon.daemon import (
    HOST,
    Daemon,
)
from tests.e2e.daemon.load import configuration


def test_a_bad_configuration_is_refused_with_every_problem(daemon: Daemon) -> None:
    """All at once, one a line, and nothing else."""
    daemon.configure(BAD_CONFIG)

    ended = daemon.ended()

    assert ended.code == 1
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    for line, start in zip(lines, problems(daemon), strict=True):
        assert line.startswith(start)
    assert not daemon.database.exists()


def test_a_configuration_that_is_not_there_is_one_line(daemon: Daemon) -> None:
    """A mistyped path does not start a daemon that watches nothing."""
    missing = daemon.config.with_name("missing.yml")

    ended = daemon.ended(f"--config.file={missing}")

    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert str(missing) in line


def test_a_port_in_use_is_one_line(daemon: Daemon) -> None:
    """With the way out."""
    with socket.create_server((HOST, daemon.port)):
        ended = daemon.ended()

    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"afterrun: cannot listen on {HOST}:{daemon.port}: ")
    assert "address already in use" in line.lower()
    assert f"`ss -ltnp 'sport = :{daemon.port}'` shows it" in line
    assert line.endswith(f" with --web.listen-address={HOST}:{daemon.port + 1}")


def test_flags_that_cannot_be_are_one_line(daemon: Daemon) -> None:
    """Which they are: tests/cli/test_serve.py."""
    ended = daemon.ended("--storage.path=:memory:")

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        "afterrun: --storage.path ':memory:' would not survive a restart: use the path of a file\n"
    )


def test_an_unwritable_database_is_one_line(make_daemon: MakeDaemon) -> None:
    """It says what to do about it."""
    ended = make_daemon(READ_ONLY).ended()

    assert (ended.code, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"afterrun: cannot use database '{READ_ONLY}': ")
    assert line.endswith("choose another --storage.path or make its directory writable")


def test_another_file_as_database_is_one_line(daemon: Daemon) -> None:
    """And that file is left as it is."""
    daemon.database.write_text("a letter to my grandmother " * 100, "utf-8")

    ended = daemon.ended()

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: cannot use database '{daemon.database}': file is not a database\n"
    )
    assert daemon.database.read_text("utf-8").startswith("a letter")


def test_a_broken_table_is_one_line(daemon: Daemon) -> None:
    """It names the file."""
    daemon.start()
    daemon.get("/ping/backup")
    assert daemon.stop() == 0
    ((page,),) = daemon.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'pushed'")
    with daemon.database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)

    ended = daemon.ended()

    assert (ended.code, ended.stdout) == (1, "")
    # What is logged before it: reads that fail.
    *_, line = ended.stderr.splitlines()
    assert line == (
        f"afterrun: cannot read from {daemon.database}: "
        "database disk image is malformed"
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("files", [8, 16, 20, 127])
def test_too_few_files_are_one_line(daemon: Daemon, files: int) -> None:
    """It says how many are needed, and where to ask for them."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    ended = daemon.ended(files=files)

    assert most > files
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: this process can open only {files} files, but 128 are needed: "
        "raise the limit (ulimit -n, or LimitNOFILE= in its systemd unit)\n"
    )


def test_a_second_daemon_on_one_database_is_one_line(
    daemon: Daemon, make_daemon: MakeDaemon
) -> None:
    """And the first does not notice."""
    daemon.start()

    ended = make_daemon(daemon.database).ended()

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: database '{daemon.database}' is in use by another afterrun: "
        "stop that one, or choose another --storage.path\n"
    )
    assert daemon.get("/ping/backup").status == 200


@pytest.mark.parametrize("link", [False, True], ids=["no lock file", "hard link"])
def test_a_database_is_for_one_daemon_whatever_is_done_to_its_name(
    daemon: Daemon, make_daemon: MakeDaemon, link: bool
) -> None:
    """A lock file that was removed, or another name of the same file."""
    daemon.start()
    database = daemon.database
    if link:
        database = database.with_name("link.db")
        database.hardlink_to(daemon.database)
    else:
        Path(f"{database}.lock").unlink()

    ended = make_daemon(database).ended()

    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: database '{database}' is in use by another afterrun: "
        "stop that one, or choose another --storage.path\n"
    )
    assert daemon.get("/ping/backup").status == 200


def test_a_database_is_free_once_its_daemon_was_killed(
    daemon: Daemon, make_daemon: MakeDaemon
) -> None:
    """Its lock is gone with it: nobody has to remove a file by hand."""
    daemon.start()
    daemon.get("/ping/backup")
    daemon.kill()

    heir = make_daemon(daemon.database)
    heir.start()

    assert heir.series()["afterrun_job_runs_total", "backup"] == 1


def test_checking_a_good_configuration_says_nothing(daemon: Daemon) -> None:
    """It starts nothing either: the port may be in use, as it is before a reload."""
    daemon.configure(configuration())

    with socket.create_server((HOST, daemon.port)):
        ended = daemon.ended("--config.check")

    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert not daemon.database.exists()


def test_checking_a_bad_configuration_lists_its_problems(daemon: Daemon) -> None:
    """The same lines as a start with it."""
    daemon.configure(BAD_CONFIG)

    checked, started = daemon.ended("--config.check"), daemon.ended()

    assert checked == started
    assert checked.code == 1
