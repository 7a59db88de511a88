"""Reading a whole database, row by row, to copy it elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from afterrun_exporter.core.daily_figures import DAY
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import UNDECODABLE, decode_state
from afterrun_exporter.storage.copied_tables import (
    COPIED,
    TABLES,
    Checksum,
    CopiedTable,
    Row,
    Summary,
)
from afterrun_exporter.storage.sqlite.backup import reading, refuse_foreign
from afterrun_exporter.storage.sqlite.locking import locked
from afterrun_exporter.storage.sqlite.migrations import newest

#: Unreadable rows to name; all are counted.
NAMED: Final = 10

#: Errors of rows that cannot be decoded.
_UNREADABLE: Final = (*UNDECODABLE, TypeError, LookupError, AttributeError)


@contextmanager
def exported(path: Path) -> Iterator[Export]:
    """Open the database at *path* for reading until the context ends; it never changes.

    Raises StorageError if a daemon uses it, or if it is of another version.
    """
    if not path.is_file() or not path.stat().st_size:
        raise StorageError(f"no database at {str(path)!r}")
    refuse_foreign(path)
    with locked(path, "stop that one first"):
        try:
            with reading(path, "ro") as connection:
                connection.text_factory = _text
                # One transaction: all reads see the same state.
                connection.execute("BEGIN")
                _check_version(connection, path)
                _check_pages(connection, path)
                yield Export(connection, path)
        except sqlite3.Error as error:
            raise StorageError(f"cannot read {str(path)!r}: {error}") from error


class Export:
    """The content of a database. Created by `exported`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self.rows_total = sum(
            self._value(f"SELECT count(*) FROM {table.name}")  # noqa: S608
            for table in TABLES
        )

    def rows(self, table: CopiedTable, after: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield the rows of *table* in the order of their keys, after the key *after*."""
        columns = ", ".join(
            str(COPIED) if column == "stamp" else column for column in table.columns
        )
        key = ", ".join(table.keys)
        places = ", ".join("?" * len(after))
        where = f"WHERE ({key}) > ({places})" if after else ""
        # The text has only constants and placeholders.
        sql = f"SELECT {columns} FROM {table.name} {where} ORDER BY {key}"  # noqa: S608
        rows = self._connection.execute(sql, tuple(after))
        if not table.flags:
            return rows
        flags = [table.columns.index(flag) for flag in table.flags]
        return (_with_flags(row, flags) for row in rows)

    def checked(self, advance: Callable[[], object]) -> dict[str, Summary]:
        """Return the summary of each table; *advance* is called after each row.

        Raises StorageError with the rows that cannot be decoded.
        """
        names = dict(self._connection.execute("SELECT id, name FROM jobs"))
        summaries = {}
        problems: list[str] = []
        count = 0
        for table in TABLES:
            checksum = Checksum()
            for row in self.rows(table):
                try:
                    _check_texts(table, row)
                    table.check(row)
                except _UNREADABLE as error:
                    count += 1
                    if count <= NAMED:
                        problems.append(_problem(table, row, names, error))
                checksum.add(row)
                advance()
            summaries[table.name] = checksum.summary()
        if problems:
            more = f"\n  and {count - NAMED:,} more" if count > NAMED else ""
            lines = "".join(f"\n  {problem}" for problem in problems)
            raise StorageError(
                f"{str(self._path)!r} has rows that cannot be decoded:{lines}{more}\n"
                "restore a backup, or delete these rows in a copy and migrate that"
            )
        return summaries

    def days(self) -> list[int]:
        """Return the UTC days, since 1970, on which runs were received."""
        rows = self._connection.execute(
            # Times beyond the year 9999 are not those of days.
            "SELECT DISTINCT CAST(received_at / ? AS INTEGER) FROM runs "
            "WHERE received_at >= 0 AND received_at < 253402300800",
            (DAY,),
        )
        return sorted(day for (day,) in rows)

    @property
    def last_counted(self) -> int:
        """The id of the last run in the figures of days."""
        return self._value("SELECT coalesce(max(run), 0) FROM counted")

    def last_id(self, table: CopiedTable) -> int:
        """Return the last id of *table* that was ever used, as far as known; 0 for none."""
        last = self._value(f"SELECT coalesce(max(id), 0) FROM {table.name}")  # noqa: S608
        if table.name == "runs":
            return max(last, self.last_counted)
        if table.name != "receivers":
            return last
        # The ids of deleted receivers are not used again.
        ever = self._value(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'receivers'"
        )
        return max(last, ever)

    def last_report(self) -> float | None:
        """Return the time of the last report of any job; None without jobs."""
        rows = self._connection.execute("SELECT state, seen FROM jobs")
        return max((decode_state(*row).last_ping_at for row in rows), default=None)

    def _value(self, sql: str) -> int:
        ((value,),) = self._connection.execute(sql)
        return int(value)


def _text(data: bytes) -> str:
    # A text that is not UTF-8 is an unreadable row, not the end of the copy.
    return data.decode("utf-8", "surrogateescape")


def _with_flags(row: Row, flags: Sequence[int]) -> Row:
    values = list(row)
    for place in flags:
        values[place] = bool(values[place])
    return tuple(values)


def _check_texts(table: CopiedTable, row: Row) -> None:
    for column, value in zip(table.columns, row, strict=True):
        if type(value) is str and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError(f"its {column} is not UTF-8") from None


def _problem(
    table: CopiedTable, row: Row, names: dict[int, str], error: BaseException
) -> str:
    job = row[table.job]
    name = names.get(job, f"number {job}") if isinstance(job, int) else job
    key = ", ".join(
        f"{column} {value!r}" for column, value in zip(table.keys, row, strict=False)
    )
    return f"{table.noun} {name!r} (table {table.name}, {key}): {error}"


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if not version or not {"jobs", "runs"} <= tables:
        raise StorageError(f"{str(path)!r} is not a database of AfterRun")
    if version > newest():
        raise StorageError(
            f"{str(path)!r} has schema {version}, this afterrun supports {newest()}: "
            "use the version that wrote it, or a newer one"
        )
    if version < newest():
        raise StorageError(
            f"{str(path)!r} has schema {version}, of an older version, and schema "
            f"{newest()} is needed: start `afterrun serve` of this version with it "
            "once, or with a copy of it (afterrun backup)"
        )


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    problems = connection.execute("PRAGMA integrity_check(3)").fetchall()
    if problems != [("ok",)]:
        details = "; ".join(" ".join(str(line).split()) for (line,) in problems)
        raise StorageError(
            f"{str(path)!r} is broken: {details}; restore a backup (afterrun restore)"
        )
