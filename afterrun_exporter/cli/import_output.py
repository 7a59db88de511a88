"""Output of `afterrun import`: a new afterrun.yml, or additions to an existing one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from afterrun_exporter.cli.atomic_file import replace_file
from afterrun_exporter.cli.import_input import decode
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.config.loading import parse
from afterrun_exporter.config.source import MAX_BYTES
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.merging import Merged, is_blank, merge
from afterrun_exporter.importers.model import Imported, Unmapped
from afterrun_exporter.importers.writing import render, validated

Command = TypeVar("Command", bound=Callable[..., Any])

#: The exit status if something was not imported.
INCOMPLETE: Final = 3

_BOM: Final = "\ufeff"


def output_options(command: Command) -> Command:
    """Add the options for the output: the parameters `into` and `dry_run`."""
    dry_run = click.option(
        "--dry-run",
        is_flag=True,
        help="Write nothing; print the changes as a diff.",
    )
    into = click.option(
        "--into",
        type=PathType(dir_okay=False),
        metavar="FILE",
        help="Add the jobs to this afterrun.yml; what is in it stays unchanged.",
    )
    return into(dry_run(command))


def deliver(
    read: Callable[[], Imported],
    into: Path | None,
    dry_run: bool,
    notes: Callable[[Imported], str] | None = None,
) -> None:
    """Print the jobs from *read*, or add them to the file *into*, and exit.

    *notes* returns text to print after that. The exit status is 0, 1 if the input or
    the result is invalid, or 3 if something was not imported.
    """
    if dry_run and into is None:
        raise click.UsageError("--dry-run needs --into: without it nothing is written")
    try:
        imported = validated(read())
        if into is None:
            click.echo(render(imported), nl=False)
            unmapped = imported.unmapped
        else:
            unmapped = (*imported.unmapped, *_add(imported, into, dry_run).conflicts)
        if notes is not None and (text := notes(imported)):
            click.echo(text, nl=False)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    finish(unmapped)


def finish(unmapped: Sequence[Unmapped]) -> None:
    """Print everything that was not imported; exit if there is any."""
    for one in unmapped:
        click.echo(_one_line(str(one)), err=True)
    if unmapped:
        raise click.exceptions.Exit(INCOMPLETE)


def _add(imported: Imported, path: Path, dry_run: bool) -> Merged:
    before = _current_text(path)
    bom = _BOM if before.startswith(_BOM) else ""
    text = before.removeprefix(_BOM)
    if not is_blank(text):
        parse(text, str(path))
    merged = merge(text, imported, str(path))
    if merged.additions:
        _check(merged.text, path)
    if dry_run:
        click.echo(diff(text, merged.text, str(path)), nl=False)
        return merged
    if not merged.additions:
        click.echo(f"{path}: no changes")
        return merged
    try:
        replace_file(path, (bom + merged.text).encode())
    except OSError as error:
        message = f"cannot be written: {error.strerror or error}"
        raise ConfigError(str(path), [Problem(0, "", message)]) from None
    click.echo(f"{path}: added {', '.join(merged.additions)}")
    return merged


def _current_text(path: Path) -> str:
    """Return the text of *path* with its byte order mark; "" if there is no file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError(str(path), [Problem(0, "", message)]) from None
    if len(data) > MAX_BYTES:
        message = f"larger than {MAX_BYTES // 2**20}MiB"
        raise ConfigError(str(path), [Problem(0, "", message)])
    bom = _BOM if data.startswith(_BOM.encode()) else ""
    return bom + decode(data, str(path))


def _check(text: str, path: Path) -> None:
    """Raise ConfigError if *text* is not a valid configuration."""
    try:
        parse(text, str(path))
    except ConfigError as error:
        message = "is not changed, because these would be its problems:"
        problems = [Problem(0, "", message), *error.problems]
        raise ConfigError(str(path), problems) from None


def diff(before: str, after: str, name: str) -> str:
    """Return the changes of the file *name* as a unified diff."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        name,
        name,
    )
    return "".join(
        line
        if line.endswith(("\n", "\r"))
        else f"{line}\n\\ No newline at end of file\n"
        for line in lines
    )


def _one_line(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)
