"""`afterrun version`."""

from __future__ import annotations

import click

from afterrun_exporter import __version__


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"afterrun {__version__}")
