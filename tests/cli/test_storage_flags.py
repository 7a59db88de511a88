"""The flags for the database: one line for each problem, and never a password."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.storage_flags import StorageFlags
from afterrun_exporter.storage.location import parse_url

SECRET = "s3cr3tXq"  # noqa: S105
URL = "postgresql://a@db.example/x"
WITH_PASSWORD = f"postgresql://a:{SECRET}@db.example/x"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AFTERRUN_STORAGE_URL", "AFTERRUN_STORAGE_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)


def afterrun_with(*arguments: str, **environment: str) -> Result:
    ended = CliRunner().invoke(afterrun, arguments, env=environment)
    assert SECRET not in f"{ended.output}{ended.exception!r}"
    return ended


def serve(*flags: str, **environment: str) -> Result:
    return afterrun_with("serve", "--config.check", *flags, **environment)


@pytest.mark.parametrize(
    ("flag", "variable", "location"),
    [
        (None, "", Path("afterrun.db")),
        (None, URL, parse_url(URL)),
        ("other.db", "", Path("other.db")),
        (URL, "", parse_url(URL)),
        ("postgres://a@db.example/x", "", parse_url("postgres://a@db.example/x")),
        # The flag has precedence.
        ("other.db", URL, Path("other.db")),
        (URL, "postgresql://elsewhere/x", parse_url(URL)),
    ],
)
def test_the_flag_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, flag: str | None, variable: str, location: object
) -> None:
    monkeypatch.setenv("AFTERRUN_STORAGE_URL", variable)

    assert StorageFlags(flag).location() == location


@pytest.mark.parametrize(
    ("flag", "is_logged"),
    [("a.db", True), (URL, True), (WITH_PASSWORD, False), (None, False)],
)
def test_two_databases_are_logged_without_a_password(
    monkeypatch: pytest.MonkeyPatch, flag: str | None, is_logged: bool
) -> None:
    monkeypatch.setenv("AFTERRUN_STORAGE_URL", WITH_PASSWORD)

    with structlog.testing.capture_logs() as events:
        StorageFlags(flag).log_precedence()

    assert [event["event"] for event in events] == ["storage_url_ignored"] * is_logged
    assert SECRET not in str(events)


@pytest.mark.parametrize(
    ("flags", "environment", "problem"),
    [
        (
            [f"--storage.path=mysql://a:{SECRET}@db/x"],
            {},
            (
                "--storage.path: this is no URL like "
                "postgresql://afterrun@db.example:5432/afterrun, "
                "'mysql://' is another kind; for SQLite use the path of a file"
            ),
        ),
        (
            [],
            {"AFTERRUN_STORAGE_URL": "afterrun.db"},
            (
                "AFTERRUN_STORAGE_URL: this is no URL like "
                "postgresql://afterrun@db.example:5432/afterrun"
            ),
        ),
        (
            ["--storage.path=postgresql://db:none/x?sslmod=require"],
            {},
            (
                "--storage.path: cannot use database postgresql://db:none/x: the port "
                "'none' is not a number from 1 to 65535; unknown parameter 'sslmod'; did "
                "you mean 'sslmode'?"
            ),
        ),
        (
            ["--storage.path=sqlite:old.db"],
            {},
            (
                "--storage.path 'sqlite:old.db' would be a file of that name: use the "
                "path alone, --storage.path=old.db"
            ),
        ),
        (
            ["--storage.password-file=absent"],
            {},
            (
                "--storage.password-file has no effect with a file: --storage.path is not "
                "the URL of a database in PostgreSQL"
            ),
        ),
        (
            [f"--storage.path={URL}", "--storage.password-file=absent"],
            {},
            (
                "--storage.password-file: cannot read the password file 'absent': No such "
                "file or directory"
            ),
        ),
        (
            [f"--storage.path={URL}"],
            {"AFTERRUN_STORAGE_PASSWORD_FILE": "absent"},
            (
                "AFTERRUN_STORAGE_PASSWORD_FILE: cannot read the password file 'absent': "
                "No such file or directory"
            ),
        ),
        (
            [f"--storage.path={WITH_PASSWORD}", "--storage.password-file=absent"],
            {},
            (
                "--storage.path: the URL has a password, and 'absent' is another one: use "
                "one of them"
            ),
        ),
        (["--storage.path=."], {}, "--storage.path is empty: use the path of a file"),
        (
            ["--storage.path=/tmp"],
            {},
            "--storage.path '/tmp' is a directory: use the path of a file",
        ),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line(
    flags: list[str], environment: dict[str, str], problem: str
) -> None:
    ended = serve(*flags, **environment)

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == f"afterrun: {problem}\n"


def test_a_password_file_of_the_environment_may_be_there_without_use() -> None:
    ended = serve(AFTERRUN_STORAGE_PASSWORD_FILE="absent")  # noqa: S106

    assert ended.exit_code == 0


@pytest.mark.parametrize(
    ("command", "instead"), [("backup", "pg_dump"), ("restore", "pg_restore")]
)
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_copy_of_a_database_in_postgresql_is_made_by_its_own_programs(
    tmp_path: Path, command: str, instead: str, by: str
) -> None:
    file = tmp_path / "copy.db"
    file.write_bytes(b"")
    arguments, environment = [command, str(file), "--force"], {}
    if by == "flag":
        arguments.append(f"--storage.path={WITH_PASSWORD}")
    else:
        environment["AFTERRUN_STORAGE_URL"] = WITH_PASSWORD

    ended = afterrun_with(*arguments, **environment)

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: `afterrun {command}` copies a database file, but the database is "
        f"postgresql://a@db.example/x: use {instead}\n"
    )


def test_the_help_shows_no_value_of_the_environment() -> None:
    ended = afterrun_with("serve", "--help", AFTERRUN_STORAGE_URL=WITH_PASSWORD)

    assert ended.exit_code == 0
    assert "AFTERRUN_STORAGE_URL" in ended.stdout
