"""Opening a database: its schema, and what cannot be opened."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite.migrations import migrations
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.storage.decisions import (
    ran,
)
from tests.storage.files import ask, size_of

NEWEST = migrations()[-1][0]

#: No one may make files here, not even root.
READ_ONLY = Path("/proc")


@pytest.fixture
def text(path: Path) -> Path:
    """A file that is none of ours, where the database should be."""
    path.write_text("This is no database, but it is long enough for one. " * 100)
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore.open(path) as opened_store:
        yield opened_store


async def refused_to_open(path: Path) -> str:
    """Return the error with which the database cannot be opened."""
    with pytest.raises(StorageError) as caught:
        async with SQLiteStore.open(path):
            pass
    return str(caught.value)


# --- The schema


def test_migrations_are_numbered_without_a_gap() -> None:
    """Each is applied once, in this order."""
    assert [number for number, _ in migrations()] == list(range(1, NEWEST + 1))


async def test_a_new_database_has_every_migration(path: Path) -> None:
    """There is no second way to make one."""
    async with SQLiteStore.open(path):
        pass

    assert ask(path, "PRAGMA user_version") == [(NEWEST,)]
    tables = {"jobs", "runs", "alerts", "logs"}
    assert tables <= {name for (name,) in ask(path, "SELECT name FROM sqlite_schema")}


async def test_opening_an_up_to_date_database_changes_nothing_in_it(path: Path) -> None:
    """Migrations that were applied are not applied again."""
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())
    schema = ask(path, "SELECT sql FROM sqlite_schema ORDER BY name")

    async with SQLiteStore.open(path) as store:
        assert store.states["backup"].runs_total == 1

    assert ask(path, "SELECT sql FROM sqlite_schema ORDER BY name") == schema


async def test_a_database_of_a_newer_version_is_left_alone(path: Path) -> None:
    """We do not know what would become of it."""
    async with SQLiteStore.open(path):
        pass
    ask(path, f"PRAGMA user_version = {NEWEST + 1}")

    assert await refused_to_open(path) == (
        f"the database has schema {NEWEST + 1}, this afterrun supports {NEWEST}: "
        "run the version that wrote it, or a newer one"
    )
    assert ask(path, "PRAGMA user_version") == [(NEWEST + 1,)]


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(
    path: Path,
) -> None:
    """The next start finds the database as it was, and can try again."""
    # The first migration makes jobs and runs, and then finds that this is there.
    ask(path, "CREATE TABLE alerts (of_something_else TEXT)")

    error = await refused_to_open(path)

    assert error == f"cannot use database '{path}': table alerts already exists"
    assert ask(path, "SELECT name FROM sqlite_schema") == [("alerts",)]
    assert ask(path, "PRAGMA user_version") == [(0,)]

    ask(path, "DROP TABLE alerts")
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())


# --- What cannot be opened


async def test_a_database_is_for_one_at_a_time(store: SQLiteStore, path: Path) -> None:
    """Two that decide without knowing of each other would lose updates."""
    await update(store, "backup", ran())

    assert await refused_to_open(path) == (
        f"database '{path}' is in use by another afterrun: stop that one, "
        "or choose another --storage.path"
    )
    await update(store, "backup", ran())


async def test_a_database_is_for_one_at_a_time_by_any_name(
    store: SQLiteStore, path: Path
) -> None:
    """A symbolic link leads to the same file."""
    assert store.states == {}
    alias = path.with_name("alias.db")
    alias.symlink_to(path)

    assert "is in use by another afterrun" in await refused_to_open(alias)


async def test_a_database_is_free_again_once_it_is_closed(path: Path) -> None:
    """Also when somebody else was refused meanwhile."""
    async with SQLiteStore.open(path):
        await refused_to_open(path)

    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())


async def test_a_database_is_free_again_after_it_could_not_be_opened(
    path: Path,
) -> None:
    """What was wrong with it can be put right meanwhile."""
    ask(path, f"PRAGMA user_version = {NEWEST + 1}")
    await refused_to_open(path)
    ask(path, "PRAGMA user_version = 0")

    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())


async def test_another_file_is_not_taken_for_a_database(text: Path) -> None:
    """Nor is it overwritten."""
    size = size_of(text)

    error = await refused_to_open(text)

    assert error == f"cannot use database '{text}': file is not a database"
    assert size_of(text) == size


async def test_a_missing_directory_is_not_made(tmp_path: Path) -> None:
    """It is more likely a typing error, or a disk that is not mounted."""
    path = tmp_path / "missing" / "afterrun.db"

    assert await refused_to_open(path) == (
        f"cannot use database '{path}': No such file or directory: {path}.lock; "
        "choose another --storage.path or make its directory writable"
    )
    assert not path.parent.exists()


async def test_a_directory_that_cannot_be_written_is_refused() -> None:
    """And the message says which, and what to do about it."""
    path = READ_ONLY / "afterrun.db"

    error = await refused_to_open(path)

    assert re.fullmatch(
        rf"cannot use database '{path}': "
        rf"(Permission denied|Read-only file system|No such file or directory): {path}\.lock; "
        r"choose another --storage\.path or make its directory writable",
        error,
    )


async def test_a_directory_is_no_database(tmp_path: Path) -> None:
    """Such as a volume that was mounted where the file should be."""
    assert await refused_to_open(tmp_path) == (
        f"cannot use database '{tmp_path}': unable to open database file"
    )


async def test_a_state_that_cannot_be_decoded_is_named(path: Path) -> None:
    """With its job: one can be repaired, or deleted, and the others be kept."""
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())
        await update(store, "sync", ran())
    ask(path, """UPDATE jobs SET state = '{"created_at": "x"}' WHERE name = 'sync'""")

    assert await refused_to_open(path) == (
        f"cannot use database '{path}': the stored state of job 'sync' cannot be "
        "decoded: Expected `float`, got `str` - at `$.created_at`"
    )


async def test_an_alert_that_cannot_be_decoded_is_named(path: Path) -> None:
    async with SQLiteStore.open(path):
        pass
    ask(
        path,
        "INSERT INTO outbox (labels, job, condition, rule, summary, opened_at, "
        "shown_until) VALUES ('{}', 'sync', 'broken', '', '', 1, 1)",
    )

    assert await refused_to_open(path) == (
        f"cannot use database '{path}': the stored alert of job 'sync' cannot be "
        "decoded: 'broken' is not a valid Condition"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any file")
async def test_a_file_that_cannot_be_written_is_refused(path: Path) -> None:
    """At the start, and not with the first ping."""
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())
    os.chmod(path, 0o400)  # noqa: PTH101 - nothing else happens meanwhile

    assert (await refused_to_open(path)).startswith(f"cannot use database '{path}': ")
