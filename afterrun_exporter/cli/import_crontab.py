"""`afterrun import crontab`: convert crontabs, and make their jobs report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.cli import crontab_files
from afterrun_exporter.cli.crontab_files import Change
from afterrun_exporter.cli.import_input import files_argument, read_files
from afterrun_exporter.cli.import_output import deliver, diff, finish, output_options
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.cli.this_machine import (
    machine_zone,
    path_of_afterrun,
    prefix_option,
    valid_zone,
)
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers.crontab import cron_jobs, imported
from afterrun_exporter.importers.crontab_rewriting import Rewriting, rewrite
from afterrun_exporter.importers.model import Imported, InputFile

_HEADING: Final = "The lines with `afterrun exec`; --apply writes them"


@click.command("crontab")
@files_argument
@output_options
@click.option(
    "--system/--no-system",
    default=None,
    help="The lines have a user, as in /etc/crontab.  [default: by the path, or if a "
    "line is of root]",
)
@click.option(
    "--timezone",
    callback=valid_zone,
    help="Time zone of the machine with the crontab.  [default: that of this machine]",
)
@click.option(
    "--afterrun",
    metavar="PATH",
    help="Path of afterrun on the machine with the crontab.  [default: that of this one]",
)
@prefix_option
@click.option(
    "--crontab", "print_crontab", is_flag=True, help="Print the rewritten crontab."
)
@click.option(
    "--apply", is_flag=True, help="Write the rewritten crontabs, after a backup."
)
@click.option("--undo", is_flag=True, help="Restore the crontabs of the last --apply.")
@click.option(
    "--backups",
    type=PathType(file_okay=False),
    metavar="DIR",
    help="Directory of backups.  [default: /var/backups/afterrun for root, else "
    "afterrun/crontabs in XDG_STATE_HOME]",
)
def command(
    files: tuple[str, ...],
    into: Path | None,
    dry_run: bool,
    system: bool | None,
    timezone: str | None,
    afterrun: str | None,
    prefix: str,
    print_crontab: bool,
    apply: bool,
    undo: bool,
    backups: Path | None,
) -> None:
    """Convert crontabs: files, directories, or by default that of the current user.

    Each job gets the name of its program or script, the time zone of the machine, and
    the comment above its line as description. The lines with `afterrun exec` in front
    of the command are printed as comments; --crontab prints the whole crontab with
    them, and --apply writes it. Commands that report already stay as they are.
    """
    backups = backups or crontab_files.default_backups()
    if undo:
        _undo(backups)
        return
    if print_crontab and (apply or into or len(files) > 1):
        raise click.UsageError("--crontab prints one crontab, and writes nothing")
    if apply and any(_is_stream(name) for name in files):
        raise click.UsageError("--apply writes files, and the user's crontab")
    zone = machine_zone() if timezone is None else timezone
    program = afterrun or path_of_afterrun()
    rewritings: list[tuple[InputFile, Rewriting]] = []

    def read() -> Imported:
        texts = (
            read_files(files, (), crontab_files.crontab_names)
            if files
            else [crontab_files.read_user_crontab()]
        )
        jobs, unmapped = cron_jobs(texts, system=system, prefix=prefix)
        for text in texts:
            own = [job for job in jobs if job.file is text]
            rewritings.append((text, rewrite(text.text, own, program)))
        result = imported(jobs, unmapped, zone)
        remarks = [one for _, new in rewritings for one in new.unmapped]
        return replace(result, unmapped=tuple(sorted([*result.unmapped, *remarks])))

    if print_crontab:
        try:
            unmapped = read().unmapped
        except ConfigError as error:
            click.echo(str(error), err=True)
            raise click.exceptions.Exit(1) from None
        click.echo("".join(new.text for _, new in rewritings), nl=False)
        finish(unmapped)
        return

    def notes(_: Imported) -> str:
        if apply:
            return _apply(rewritings, backups, dry_run=dry_run)
        return "".join(_commented(rewritings))

    deliver(read, into, dry_run and not (apply and into is None), notes)


def _is_stream(name: str) -> bool:
    return name == "-" or name.startswith(("http://", "https://"))


def _commented(rewritings: Sequence[tuple[InputFile, Rewriting]]) -> list[str]:
    lines = []
    for file, new in rewritings:
        if new.lines:
            lines.append(f"\n# {file.name}: {_HEADING}:\n")
            lines += [f"# {line}\n" for line in new.lines.values()]
    return lines


def _apply(
    rewritings: Sequence[tuple[InputFile, Rewriting]], backups: Path, *, dry_run: bool
) -> str:
    changes = [
        Change(file.name, file.text, new.text) for file, new in rewritings if new.lines
    ]
    if dry_run:
        return "".join(diff(one.before, one.after, one.name) for one in changes)
    if not changes:
        return "crontab: no changes\n"
    folder = crontab_files.apply(changes, backups)
    names = "".join(
        f"{file.name}: {plural(len(new.lines), 'line')} rewritten\n"
        for file, new in rewritings
        if new.lines
    )
    return f"{names}backup: {folder} (--undo restores it)\n"


def _undo(backups: Path) -> None:
    try:
        for name in crontab_files.undo(backups):
            click.echo(f"{name}: restored")
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
