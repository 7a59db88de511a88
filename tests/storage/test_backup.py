"""Backups and restores that are refused, and leave everything as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite.backup import back_up, restore
from afterrun_exporter.storage.sqlite.migrations import newest
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.storage.decisions import ran
from tests.storage.files import ask

PAGE = 4096


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Path]:
    """A database that a daemon uses."""
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())
        yield path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder / "afterrun.db"


@pytest.fixture
async def backup(database: Path, copy: Path) -> Path:
    back_up(database, copy)
    return copy


def refused(call: object, *args: Path, **flags: bool) -> str:
    """Return why a backup or a restore is refused."""
    assert callable(call)
    with pytest.raises(StorageError) as caught:
        call(*args, **flags)
    return str(caught.value)


def test_a_backup_is_one_file_that_any_sqlite_reads(database: Path, copy: Path) -> None:
    """Also where nothing can be written beside it."""
    contents = back_up(database, copy)

    assert (contents.jobs, contents.runs) == (1, 1)
    assert contents.size == copy.stat().st_size
    name = f"file:{copy}?mode=ro&immutable=1"
    with closing(sqlite3.connect(name, uri=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert {file.name for file in copy.parent.glob("*copy*")} == {"copy.db"}


def test_a_backup_overwrites_only_what_it_is_told_to(
    database: Path, copy: Path
) -> None:
    copy.write_text("a letter to my grandmother")

    assert refused(back_up, database, copy) == (
        f"'{copy}' exists: name another file, or overwrite it with --force"
    )
    assert copy.read_text() == "a letter to my grandmother"

    back_up(database, copy, overwrite=True)
    assert ask(copy, "SELECT count(*) FROM runs") == [(1,)]


def test_a_backup_never_overwrites_the_database(database: Path) -> None:
    """Nor does it under another name."""
    link = database.with_name("link.db")
    link.symlink_to(database)

    for name in (database, link):
        assert "are the same file" in refused(back_up, database, name, overwrite=True)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, copy: Path) -> None:
    missing = tmp_path / "missing.db"

    assert refused(back_up, missing, copy) == (
        f"no database at '{missing}': check --storage.path"
    )
    assert not missing.exists()
    assert not copy.exists()


def test_a_directory_is_no_target(database: Path, tmp_path: Path) -> None:
    assert refused(back_up, database, tmp_path) == (
        f"'{tmp_path}' is a directory: name a file in it"
    )


async def test_a_broken_database_is_not_backed_up(path: Path, copy: Path) -> None:
    """Who needs the backup would find out too late."""
    async with SQLiteStore.open(path) as store:
        await update(store, "backup", ran())
    break_table(path, "logs")

    assert refused(back_up, path, copy).startswith(f"'{path}' is broken: ")
    assert [*copy.parent.glob("*copy*")] == []


def break_table(path: Path, table: str) -> None:
    sql = "SELECT rootpage FROM sqlite_schema WHERE name = '%s'"
    ((page,),) = ask(path, sql % table)
    assert isinstance(page, int)
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


def test_a_backup_is_restored_elsewhere(backup: Path, elsewhere: Path) -> None:
    contents, aside = restore(backup, elsewhere)

    assert (contents.runs, aside) == (1, None)
    assert ask(elsewhere, "SELECT count(*) FROM runs") == [(1,)]
    assert elsewhere.stat().st_mode & 0o777 == 0o600


def test_a_log_without_its_database_is_not_applied_to_another(
    backup: Path, elsewhere: Path
) -> None:
    """Such as that of one that was deleted."""
    Path(f"{elsewhere}-wal").write_bytes(b"x" * 10_000)

    restore(backup, elsewhere)

    assert not Path(f"{elsewhere}-wal").exists()


def test_a_database_is_replaced_only_if_it_is_to_be(
    backup: Path, elsewhere: Path
) -> None:
    """And is there afterwards, under another name."""
    restore(backup, elsewhere)
    ask(elsewhere, "DELETE FROM runs")

    assert refused(restore, backup, elsewhere).startswith(
        f"there is a database at '{elsewhere}': replace it with --force; "
    )
    assert ask(elsewhere, "SELECT count(*) FROM runs") == [(0,)]

    _, aside = restore(backup, elsewhere, overwrite=True)

    assert aside == Path(f"{elsewhere}.before-restore")
    assert ask(elsewhere, "SELECT count(*) FROM runs") == [(1,)]
    assert ask(aside, "SELECT count(*) FROM runs") == [(0,)]


def test_a_link_to_the_database_stays_a_link(backup: Path, elsewhere: Path) -> None:
    """Its target is what the daemon opens."""
    real = elsewhere.with_name("real.db")
    elsewhere.symlink_to(real)

    restore(backup, elsewhere)

    assert elsewhere.is_symlink()
    assert ask(real, "SELECT count(*) FROM runs") == [(1,)]


def letter(file: Path) -> str:
    file.write_text("a letter to my grandmother")
    return f"'{file}' is not a database"


def missing(file: Path) -> str:
    file.unlink()
    return f"cannot read '{file}': No such file or directory"


def foreign(file: Path) -> str:
    file.unlink()
    ask(file, "CREATE TABLE letters (text TEXT)")
    return f"'{file}' is not a database of AfterRun"


def newer(file: Path) -> str:
    ask(file, f"PRAGMA user_version = {newest() + 1}")
    return (
        f"'{file}' has schema {newest() + 1}, this afterrun supports {newest()}: "
        "run the version that wrote it, or a newer one"
    )


def broken(file: Path) -> str:
    break_table(file, "logs")
    return f"'{file}' is broken: "


def truncated(file: Path) -> str:
    with file.open("r+b") as opened:
        opened.truncate(2 * PAGE)
    return f"cannot copy '{file}': "


@pytest.mark.parametrize("kind", [letter, missing, foreign, newer, broken, truncated])
@pytest.mark.parametrize("is_new", [True, False])
def test_what_is_no_good_backup_is_not_restored(
    backup: Path, elsewhere: Path, kind: object, is_new: bool
) -> None:
    """And nothing is changed or left behind."""
    if not is_new:
        restore(backup, elsewhere)
    before = {file.name for file in elsewhere.parent.iterdir()} | {"afterrun.db.lock"}
    assert callable(kind)
    why = kind(backup)

    assert refused(restore, backup, elsewhere, overwrite=True).startswith(why)
    after = {file.name for file in elsewhere.parent.iterdir()} | {"afterrun.db.lock"}
    assert after == before
