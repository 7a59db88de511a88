"""`afterrun backup`: copy the database, also while the daemon is running."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.cli.storage_flags import StorageFlags, storage_path_option
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.location import is_url
from afterrun_exporter.storage.sqlite.backup import Contents, back_up

#: Gives the daemon priority on a busy machine.
_NICE: Final = 10

storage_option = storage_path_option("The database file of afterrun serve.")


@click.command()
@click.argument("file", type=PathType())
@storage_option
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def backup(file: Path, storage_path: str | None, force: bool) -> None:
    """Copy the database to FILE, also while the daemon is running.

    The copy is one file, contains every report that was acknowledged before it began,
    and is checked. FILE appears when the copy is complete. Back up a database in
    PostgreSQL with pg_dump.
    """
    if is_url(str(file)):
        click.echo(
            "afterrun: FILE is a URL: use pg_dump for a database in PostgreSQL",
            err=True,
        )
        sys.exit(1)
    with suppress(OSError):
        os.nice(_NICE)
    try:
        database = StorageFlags(storage_path).file("backup", "pg_dump")
        contents = back_up(database, file, overwrite=force)
    except (StorageError, ValueError) as error:
        click.echo(f"afterrun: {error}", err=True)
        sys.exit(1)
    click.echo(f"backed up {database} to {file}: {summary(contents)}")


def summary(contents: Contents) -> str:
    """Return a description of the contents of a copy."""
    size = f"{contents.size / 1e6:,.1f} MB"
    counts = f"{plural(contents.jobs, 'job')}, {plural(contents.runs, 'run')}"
    return f"{counts}, {size}, integrity check passed"
