"""`afterrun migrate-storage`: from a file to PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.group import afterrun
from tests.postgres import PASSWORD, Database
from tests.storage.postgres import content

ENVIRONMENT = {"AFTERRUN_STORAGE_URL": "", "AFTERRUN_STORAGE_PASSWORD_FILE": ""}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with something in every table."""
    path = tmp_path_factory.mktemp("source") / "afterrun.db"
    asyncio.run(content.full(path))
    return path


def migrate(*arguments: str, **environment: str) -> Result:
    result = CliRunner().invoke(
        afterrun, ["migrate-storage", *arguments], env=ENVIRONMENT | environment
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result
    return result


def error(*arguments: str, **environment: str) -> str:
    result = migrate(*arguments, **environment)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert PASSWORD not in result.stderr
    assert "hush" not in result.stderr
    return result.stderr.removeprefix("afterrun: ").removesuffix("\n")


def shown(database: Database) -> str:
    """Return the address of a database, as it is printed."""
    scheme, _, place = database.url.partition("://")
    return f"{scheme}://afterrun@{place.rpartition('@')[2]}"


def test_it_prints_what_was_copied(path: Path, postgres: Database) -> None:
    """And the second time that nothing was left to do."""
    first = migrate(f"sqlite:{path}", postgres.url)
    again = migrate(str(path), AFTERRUN_STORAGE_URL=postgres.url)
    postgres.psql("UPDATE counters SET value = 1")
    used = migrate(str(path), postgres.url)

    contents = "7 jobs, 75 runs, 3 alerts; all rows are equal"
    assert first.stdout == (
        f"copied {path} to {shown(postgres)}: {contents}\n"
        f"now start every daemon with this URL as --storage.path; {path} is unchanged\n"
    )
    assert (
        again.stdout == f"{path} was copied to {shown(postgres)} before: {contents}\n"
    )
    assert used.stdout == (
        f"{path} was copied to {shown(postgres)} before, and a daemon has used that "
        "since: nothing to do\n"
    )
    assert first.stderr == again.stderr == used.stderr == ""


def test_the_password_may_be_in_a_file(
    path: Path, tmp_path: Path, postgres: Database
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    url = shown(postgres)

    assert "check the user, and the password" in error(
        str(path), f"{url}?password=hush"
    )
    result = migrate(str(path), url, f"--storage.password-file={file}")
    assert result.exit_code == 0
    result = migrate(str(path), url, AFTERRUN_STORAGE_PASSWORD_FILE=str(file))
    assert result.exit_code == 0


def test_it_says_which_way_it_copies() -> None:
    expected = (
        "only a copy from SQLite to PostgreSQL is possible: write it like `afterrun "
        "migrate-storage sqlite:afterrun.db postgresql://afterrun@db/afterrun`"
    )

    assert error("postgresql://a:hush@db/x", "sqlite:afterrun.db") == expected
    assert error("sqlite:afterrun.db", "other.db") == expected
    assert error("sqlite:afterrun.db", "sqlite:other.db") == expected


@pytest.mark.parametrize("source", ["sqlite:", "sqlite:///afterrun.db", ""])
def test_a_source_that_names_no_file_is_refused(source: str) -> None:
    assert error(source, "postgresql://a@db/x") == (
        f"{source!r} names no file: write it like sqlite:/var/lib/afterrun/afterrun.db"
    )


def test_a_target_is_needed() -> None:
    assert error("afterrun.db") == "no target: name a URL, or set AFTERRUN_STORAGE_URL"


def test_a_wrong_url_is_explained_without_its_password() -> None:
    url = "postgresql://a:hush@db:99999/x"
    problem = (
        "cannot use database postgresql://a@db:99999/x: the port '99999' is not a "
        "number from 1 to 65535"
    )
    assert error("x.db", url) == f"the target: {problem}"
    assert error("x.db", AFTERRUN_STORAGE_URL=url) == f"AFTERRUN_STORAGE_URL: {problem}"


def test_a_password_file_that_cannot_be_read_is_named() -> None:
    assert error("x.db", "postgresql://a@db/x", "--storage.password-file=/none") == (
        "--storage.password-file: cannot read the password file '/none': "
        "No such file or directory"
    )


def test_a_server_that_does_not_answer_is_named(path: Path) -> None:
    assert error(str(path), "postgresql://a:hush@127.0.0.1:1/x").startswith(
        "cannot connect to postgresql://a@127.0.0.1:1/x: "
    )


def test_nothing_is_created_for_a_source_that_does_not_exist(
    tmp_path: Path, postgres: Database
) -> None:
    assert "no database at" in error(str(tmp_path / "none.db"), postgres.url)
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert postgres.psql(tables) == "0"


def test_a_target_with_data_is_refused(path: Path, postgres: Database) -> None:
    migrate(str(content.empty(path.with_name("empty.db"))), postgres.url)
    text = error(str(path), postgres.url)

    assert text.startswith(f"{shown(postgres)} has a copy of another database")
