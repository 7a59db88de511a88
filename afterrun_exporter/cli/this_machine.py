"""Facts about this machine that imported jobs need."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.core.crontab import check_zone

_INSTALLED: Final = "/usr/local/bin/afterrun"


prefix_option = click.option(
    "--prefix",
    default="",
    metavar="TEXT",
    help="Text before the names of jobs, such as web1-, if several machines have jobs of "
    "the same name.",
)


def machine_zone() -> str:
    """Return the time zone of this machine, "" if its name is unknown."""
    target = os.path.realpath("/etc/localtime")
    zone = target.partition("/zoneinfo/")[2]
    if not zone:
        try:
            zone = Path("/etc/timezone").read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""
    try:
        check_zone(zone)
    except ValueError:
        return ""
    return "UTC" if zone == "Etc/UTC" else zone


def path_of_afterrun() -> str:
    """Return the path of this program."""
    running = Path(sys.argv[0])
    if running.name == "afterrun" and running.exists():
        return str(running.absolute())
    return shutil.which("afterrun") or _INSTALLED


def valid_zone(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> str | None:
    """Return the time zone *text* of an option; raise BadParameter if it is none."""
    if text is not None:
        try:
            check_zone(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return text
