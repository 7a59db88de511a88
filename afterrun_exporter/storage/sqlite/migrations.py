"""Migrations: the database format, as numbered steps that never change once released.

A step is SQL (``sql/NNNN_name.sql``) or a change of stored states (state_formats.py).
`PRAGMA user_version` is the number of the last applied step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from importlib.resources import files

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite.state_formats import CHANGES, migrate_states

Step = Callable[[sqlite3.Connection], object]


def migrations() -> list[tuple[int, Step]]:
    """Return the number and the function of every step, in order."""
    folder = files("afterrun_exporter.storage.sqlite") / "sql"
    scripts = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    steps: list[tuple[int, Step]] = [
        (int(file.name[:4]), partial(_run_script, file.read_text("utf-8")))
        for file in scripts
    ]
    for number, change in CHANGES.items():
        steps.append((number, partial(migrate_states, change=change)))
    return sorted(steps, key=lambda step: step[0])


def newest() -> int:
    """Return the number of the newest step."""
    return migrations()[-1][0]


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate the database to the newest format, each step whole or not at all.

    Raises StorageError if it was written by a newer version of this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    steps = migrations()
    supported = steps[-1][0]
    if version > supported:
        raise StorageError(
            f"the database has schema {version}, this afterrun supports {supported}: "
            "run the version that wrote it, or a newer one"
        )
    for number, step in steps:
        if number > version:
            connection.execute("BEGIN IMMEDIATE")
            try:
                step(connection)
                connection.execute(f"PRAGMA user_version = {number}")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def _run_script(sql: str, connection: sqlite3.Connection) -> None:
    # `executescript` would commit before it starts.
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
