"""`afterrun migrate-storage`: copy the database from SQLite to PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.cli import progress
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.cli.storage_flags import (
    FILE_VARIABLE,
    PASSWORD_FILE,
    PATH,
    URL_VARIABLE,
)
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.copied_tables import TABLES, Summary
from afterrun_exporter.storage.location import SCHEMES, DatabaseUrl, is_url, parse_url
from afterrun_exporter.storage.sqlite.export import Export, exported

_SQLITE: Final = "sqlite:"

#: Rows in one step of a bar.
_STEP: Final = 1000

_ALTERNATIVE: Final = (
    "only a copy from SQLite to PostgreSQL is possible: write it like "
    "`afterrun migrate-storage sqlite:afterrun.db postgresql://afterrun@db/afterrun`"
)


@click.command("migrate-storage")
@click.argument("source", metavar="sqlite:FILE")
@click.argument("target", metavar="[postgresql://...]", required=False)
@click.option(
    PASSWORD_FILE,
    "password_file",
    type=PathType(dir_okay=False),
    help=f"A file with the password for PostgreSQL; or set {FILE_VARIABLE}.",
)
def migrate_storage(
    source: str, target: str | None, password_file: Path | None
) -> None:
    """Copy everything from a SQLite database to a database in PostgreSQL.

    The daemon must be stopped. The database in PostgreSQL must be empty, and the SQLite
    file stays as it is. A command that was interrupted continues where it stopped if it
    is run again. At the end all rows are compared.

    The URL may be in AFTERRUN_STORAGE_URL instead.
    """
    try:
        path, url = _source(source), _target(target, password_file)
        message = asyncio.run(_migrate(path, url))
    except (StorageError, ValueError) as error:
        click.echo(f"afterrun: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("afterrun: interrupted: run the same command again", err=True)
        sys.exit(1)
    click.echo(message)


def _source(text: str) -> Path:
    if is_url(text) and text.partition(":")[0] in SCHEMES:
        raise ValueError(_ALTERNATIVE)
    file = text.removeprefix(_SQLITE)
    if not file or (file != text and file.startswith("//")):
        raise ValueError(
            f"{text!r} names no file: write it like sqlite:/var/lib/afterrun/afterrun.db"
        )
    return Path(file)


def _target(text: str | None, password_file: Path | None) -> DatabaseUrl:
    name = "the target"
    if text is None:
        name, text = URL_VARIABLE, os.environ.get(URL_VARIABLE, "")
    if not text:
        raise ValueError(f"no target: name a URL, or set {URL_VARIABLE}")
    if not is_url(text):
        raise ValueError(_ALTERNATIVE)
    variable = os.environ.get(FILE_VARIABLE, "")
    file = password_file or (Path(variable) if variable else None)
    try:
        url = parse_url(text, file)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    try:
        url.password()
    except StorageError as error:
        flag = FILE_VARIABLE if password_file is None else PASSWORD_FILE
        raise ValueError(f"{flag}: {error}") from None
    return url


async def _migrate(path: Path, url: DatabaseUrl) -> str:
    """Return the message about a copy that has ended. Raises StorageError."""
    # asyncpg may not be installed.
    from afterrun_exporter.storage.postgres.address import address_of  # noqa: PLC0415
    from afterrun_exporter.storage.postgres.copying import (  # noqa: PLC0415
        CopyTarget,
        Ending,
        copy_target,
    )

    async def copy(source: Export, target: CopyTarget) -> str:
        await target.refuse_foreign()
        with _bar("checking rows", source) as advance:
            summaries = source.checked(advance)
        if not await target.begin(summaries, source.days()):
            if await target.is_used():
                return (
                    f"{path} was copied to {url} before, and a daemon has used that "
                    "since: nothing to do"
                )
            with _bar("comparing rows", source) as advance:
                await target.verify(summaries, advance)
            return f"{path} was copied to {url} before: {_contents(summaries)}"
        with _bar("copying rows", source) as advance:
            await target.copy(source.rows, advance)
        with _bar("comparing rows", source) as advance:
            await target.verify(summaries, advance)
        last_ids = {one.name: source.last_id(one) for one in TABLES if one.identity}
        await target.end(Ending(last_ids, source.last_counted, source.last_report()))
        await target.analyze()
        return (
            f"copied {path} to {url}: {_contents(summaries)}\n"
            f"now start every daemon with this URL as {PATH}; {path} is unchanged"
        )

    with exported(path) as source:
        async with copy_target(address_of(url.url, url.password)) as target:
            return await copy(source, target)


def _contents(summaries: dict[str, Summary]) -> str:
    counts = ", ".join(
        plural(summaries[name].rows, name.removesuffix("s"))
        for name in ("jobs", "runs", "alerts")
    )
    return f"{counts}; all rows are equal"


@contextmanager
def _bar(title: str, source: Export) -> Iterator[Callable[[], object]]:
    """Show the progress of work on all rows; yield the function to call for each."""
    steps = ceil(source.rows_total / _STEP)
    with progress.bar(f"{title}, in thousands", steps) as advance:
        rows = 0

        def count() -> None:
            nonlocal rows
            rows += 1
            if rows % _STEP == 0:
                advance()

        yield count
