"""Backup of a database in use, and restoring from a backup."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite.files import MAGIC
from afterrun_exporter.storage.sqlite.locking import locked
from afterrun_exporter.storage.sqlite.migrations import newest

#: Pages copied at once, 4 MiB. They are synced at once, too: syncing a large copy
#: at the end would hold up the commits of a daemon on the same disk.
_PAGES: Final = 1024

#: Suffix of the database that a restore replaces.
_ASIDE: Final = ".before-restore"


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a copy of a database, counted while checking it."""

    jobs: int
    runs: int
    size: int


def back_up(database: Path, target: Path, *, overwrite: bool = False) -> Contents:
    """Copy the *database* in its present state to *target*; return its content.

    A daemon may use the database meanwhile. *target* is one file, and appears whole and
    checked, or not at all. Raises StorageError, also if *target* exists without
    *overwrite*.
    """
    if not database.is_file() or not database.stat().st_size:
        raise StorageError(f"no database at {str(database)!r}: check --storage.path")
    _refuse_same(database, target)
    if target.is_dir():
        raise StorageError(f"{str(target)!r} is a directory: name a file in it")
    if target.exists() and not overwrite:
        raise StorageError(
            f"{str(target)!r} exists: name another file, or overwrite it with --force"
        )
    with _new_file(target) as copy:
        # Not read-only: otherwise SQLite would leave its log behind if no daemon runs.
        contents = _copy(database, copy, "rw")
        _replace(copy, target)
    return contents


def restore(
    backup: Path, database: Path, *, overwrite: bool = False
) -> tuple[Contents, Path | None]:
    """Replace *database* with a copy of *backup*.

    Returns the content, and the new path of the previous database, if there was one.
    Raises StorageError without a change, also if a daemon uses the database, or if it
    exists without *overwrite*.
    """
    refuse_foreign(backup)
    # The file itself, not a symbolic link to it.
    real = Path(os.path.realpath(database))
    _refuse_same(backup, real)
    is_new = not real.exists() or (real.is_file() and not real.stat().st_size)
    with _locked(real, is_new=is_new):
        if not is_new and not overwrite:
            raise StorageError(
                f"there is a database at {str(database)!r}: replace it with --force; "
                f"it will be kept as {real.name + _ASIDE!r}"
            )
        owner = _owner(real, is_new=is_new)
        with _new_file(real) as copy:
            contents = _copy(backup, copy)
            _chown(copy, owner)
            _move_aside(real, is_new=is_new)
            _replace(copy, real)
        _chown(Path(f"{real}.lock"), owner)
    return contents, None if is_new else Path(f"{real}{_ASIDE}")


@contextmanager
def _locked(database: Path, *, is_new: bool) -> Iterator[None]:
    with locked(database):
        try:
            yield
        except BaseException:
            # The lock has created an empty file.
            if is_new and database.is_file() and not database.stat().st_size:
                database.unlink()
            raise


def _refuse_same(one: Path, other: Path) -> None:
    with suppress(OSError):
        if one.samefile(other):
            raise StorageError(f"{str(one)!r} and {str(other)!r} are the same file")


def refuse_foreign(backup: Path) -> None:
    """Raise StorageError if the file *backup* is not a database."""
    try:
        with backup.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        problem = f"cannot read {str(backup)!r}: {error.strerror}"
        raise StorageError(problem) from None
    if start != MAGIC:
        raise StorageError(f"{str(backup)!r} is not a database")


@contextmanager
def _new_file(beside: Path) -> Iterator[Path]:
    """Yield an empty file in the folder of a path; remove it at the end."""
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{beside.name}.", suffix=".new", dir=beside.parent
        )
    except OSError as error:
        raise StorageError(
            f"cannot write to {str(beside.parent)!r}: {error.strerror}"
        ) from None
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            Path(f"{name}{end}").unlink(missing_ok=True)


def _copy(source: Path, target: Path, mode: str = "ro") -> Contents:
    """Copy a database as one file, and check the copy."""
    try:
        with reading(source, mode) as connection, _writing(target) as copy:
            # One transaction: without it, SQLite would start again at each commit of
            # a daemon, and the copy would never end.
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            file = os.open(target, os.O_RDONLY)
            try:
                connection.backup(
                    copy, pages=_PAGES, progress=lambda *_: os.fdatasync(file)
                )
            finally:
                os.close(file)
        with _writing(target) as copy:
            # One file, readable also for users without write access to the folder.
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            contents = _checked(copy, source, target)
        _sync(target)
    except sqlite3.Error as error:
        raise StorageError(f"cannot copy {str(source)!r}: {error}") from error
    except OSError as error:
        raise StorageError(
            f"cannot copy {str(source)!r} to {str(target.parent)!r}: {error.strerror}"
        ) from error
    return contents


@contextmanager
def reading(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Open the database at *path* for reading; the *mode* "ro" changes no file."""
    real = os.path.realpath(path)
    name = f"file:{quote(real)}?mode={mode}"
    if mode == "ro" and not Path(f"{real}-wal").exists():
        # No process writes to a backup. Without this, SQLite would leave files beside
        # it, and fail where it has no permission to create them.
        name += "&immutable=1"
    with closing(sqlite3.connect(name, uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000").fetchall()
        yield connection


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # It is synced as a whole, and deleted on any error.
        connection.execute("PRAGMA journal_mode = OFF").fetchall()
        connection.execute("PRAGMA synchronous = OFF").fetchall()
        yield connection


def _checked(copy: sqlite3.Connection, source: Path, target: Path) -> Contents:
    try:
        problems = copy.execute("PRAGMA integrity_check(3)").fetchall()
    except sqlite3.DatabaseError as error:
        raise StorageError(f"{str(source)!r} is broken: {error}") from error
    if problems != [("ok",)]:
        # The first line names the index or the page; there may be thousands.
        details = "; ".join(" ".join(str(line).split()) for (line,) in problems)
        raise StorageError(f"{str(source)!r} is broken: {details}")
    ((version,),) = copy.execute("PRAGMA user_version").fetchall()
    if version > newest():
        raise StorageError(
            f"{str(source)!r} has schema {version}, this afterrun supports {newest()}: "
            "run the version that wrote it, or a newer one"
        )
    tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_schema")}
    if not version or not {"jobs", "runs"} <= tables:
        raise StorageError(f"{str(source)!r} is not a database of AfterRun")
    ((jobs,),) = copy.execute("SELECT count(*) FROM jobs").fetchall()
    ((runs,),) = copy.execute("SELECT count(*) FROM runs").fetchall()
    return Contents(jobs, runs, target.stat().st_size)


def _move_aside(database: Path, *, is_new: bool) -> None:
    """Move the database away with its log, which must not be applied to another."""
    aside = Path(f"{database}{_ASIDE}")
    for end in ("-wal", "-shm", ""):
        source, destination = Path(f"{database}{end}"), Path(f"{aside}{end}")
        if is_new or end == "-shm":
            # SQLite rebuilds its index of the log.
            if end:
                source.unlink(missing_ok=True)
        elif source.exists():
            source.replace(destination)
        else:
            destination.unlink(missing_ok=True)
    _sync(database.parent)


def _replace(copy: Path, target: Path) -> None:
    try:
        copy.replace(target)
        _sync(target.parent)
    except OSError as error:
        problem = f"cannot write {str(target)!r}: {error.strerror}"
        raise StorageError(problem) from error


def _owner(database: Path, *, is_new: bool) -> os.stat_result | None:
    """Return the owner that a restored file needs for the daemon to use it."""
    if os.geteuid():
        return None
    return (database.parent if is_new else database).stat()


def _chown(file: Path, owner: os.stat_result | None) -> None:
    if owner is not None:
        os.chown(file, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
