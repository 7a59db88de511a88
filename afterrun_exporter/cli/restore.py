"""`afterrun restore`: replace the database with a backup."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from afterrun_exporter.cli.backup import storage_option, summary
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.cli.storage_flags import StorageFlags
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite import backup


@click.command()
@click.argument("file", type=PathType(exists=True, dir_okay=False))
@storage_option
@click.option(
    "--force", is_flag=True, help="Replace an existing database, which is renamed."
)
def restore(file: Path, storage_path: str | None, force: bool) -> None:
    """Replace the database with a copy of the backup FILE.

    The daemon must be stopped.
    """
    try:
        database = StorageFlags(storage_path).file("restore", "pg_restore")
        contents, aside = backup.restore(file, database, overwrite=force)
    except (StorageError, ValueError) as error:
        click.echo(f"afterrun: {error}", err=True)
        sys.exit(1)
    click.echo(f"restored {database} from {file}: {summary(contents)}")
    if aside is not None:
        click.echo(f"the previous database is now {aside}")
