"""`afterrun import systemd`: convert timers, and print drop-ins for their services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.cli.import_input import files_argument, read_files
from afterrun_exporter.cli.import_output import deliver, output_options
from afterrun_exporter.cli.this_machine import (
    machine_zone,
    path_of_afterrun,
    prefix_option,
    valid_zone,
)
from afterrun_exporter.importers.model import Imported
from afterrun_exporter.importers.systemd import DropIn, imported

_UNITS: Final = (".timer", ".service")
_DROP_INS: Final = (".timer.d", ".service.d")


@click.command("systemd")
@files_argument
@output_options
@click.option(
    "--timezone",
    callback=valid_zone,
    help="Time zone of the machine with the timers.  [default: that of this machine]",
)
@click.option(
    "--afterrun",
    metavar="PATH",
    help="Path of afterrun on the machine with the timers.  [default: that of this one]",
)
@prefix_option
def command(
    files: tuple[str, ...],
    into: Path | None,
    dry_run: bool,
    timezone: str | None,
    afterrun: str | None,
    prefix: str,
) -> None:
    """Convert timers of systemd: files, directories, or output of systemctl cat.

    The services that the timers start give description and max_runtime. Drop-ins that
    make the services report through `afterrun exec` are printed as comments.
    """
    drop_ins: list[DropIn] = []

    def read() -> Imported:
        result, new = imported(
            read_files(files, (), unit_files),
            zone=machine_zone() if timezone is None else timezone,
            afterrun=afterrun or path_of_afterrun(),
            prefix=prefix,
        )
        drop_ins.extend(new)
        return result

    deliver(read, into, dry_run, lambda _: "".join(_commented(drop_ins)))


def unit_files(directory: Path) -> Iterator[Path]:
    """Yield the timers, the services and their drop-ins below *directory*."""
    for path in directory.rglob("*"):
        is_unit = path.suffix in _UNITS
        # Links in timers.target.wants are the instances of templates.
        is_link = path.parent.name.endswith((".wants", ".requires"))
        is_drop_in = path.suffix == ".conf" and path.parent.name.endswith(_DROP_INS)
        if (is_drop_in or (is_unit and (not is_link or "@" in path.name))) and (
            path.is_file()
        ):
            yield path


def _commented(drop_ins: list[DropIn]) -> Iterator[str]:
    """Yield the lines of *drop_ins* as comments."""
    if drop_ins:
        yield "\n# Drop-ins that make the services report, for /etc/systemd/system:\n"
    for one in drop_ins:
        yield f"#\n# {one.path}:\n"
        yield from (f"# {line}\n" for line in one.text.splitlines())
