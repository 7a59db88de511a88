"""The schema, as numbered steps: ``sql/NNNN_name.sql``, never edited once released."""

from __future__ import annotations

import sqlite3
from importlib.resources import files

from afterrun_exporter.errors import StorageError


def migrations() -> list[tuple[int, str]]:
    """Return the number and the SQL of every step, in order."""
    folder = files("afterrun_exporter.storage") / "sql"
    steps = (step for step in folder.iterdir() if step.name.endswith(".sql"))
    return sorted((int(step.name[:4]), step.read_text("utf-8")) for step in steps)


def migrate(connection: sqlite3.Connection) -> None:
    """Take the database to the newest schema, each step whole or not at all.

    Raises StorageError when it is of a newer version than this program knows.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    steps = migrations()
    newest = steps[-1][0]
    if version > newest:
        raise StorageError(
            f"the database has schema {version}, this afterrun knows {newest}: "
            "run the version that wrote it, or a newer one"
        )
    for number, sql in steps:
        if number > version:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;"
            )
