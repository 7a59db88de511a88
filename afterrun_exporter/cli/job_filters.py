"""Options that narrow a command to some jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_FILTERS: Final = (
    click.option(
        "--label",
        metavar="KEY=VALUE",
        multiple=True,
        help="Only jobs with this label; may be repeated.",
    ),
    click.option("--project", metavar="PROJECT", help="Only jobs of this project."),
    click.option(
        "--tag",
        metavar="TAG",
        multiple=True,
        help="Only jobs with this tag; may be repeated.",
    ),
)


def filters_jobs(command: Command) -> Command:
    """Add the options `--label`, `--project` and `--tag` to *command*."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command
