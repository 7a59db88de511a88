"""`afterrun token new`: create a token."""

from __future__ import annotations

import json

import click

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.tokens import new_token
from afterrun_exporter.core.patterns import compiled
from afterrun_exporter.core.secrets import digest


@click.group()
def token() -> None:
    """Create tokens for clients."""


@token.command()
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    required=True,
    help="A scope of the token; may be repeated.",
)
@click.option(
    "--jobs",
    metavar="PATTERN",
    help="Regular expression for the full names of jobs that it may ping.",
)
@click.option("--name", help="Name of the token in the log.")
def new(scopes: tuple[str, ...], jobs: str | None, name: str | None) -> None:
    """Print a new token, and the entry for afterrun.yml.

    The token is printed only once. The file contains only its digest.
    """
    selected = [Scope(scope) for scope in dict.fromkeys(scopes)]
    if jobs is not None:
        _check_jobs(jobs, selected)
    secret = new_token()
    words = {
        "name": name or "-".join(selected),
        "hash": digest(secret),
        "scopes": selected,
        "jobs": jobs,
    }
    # JSON is valid YAML and escapes names and patterns.
    entry = ", ".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in words.items()
        if value is not None
    )
    click.echo(secret)
    click.echo(
        "\nThe line above is the token; it is shown only once. Add its digest to "
        f"afterrun.yml:\n\nauth:\n  tokens:\n    - {{{entry}}}\n",
        err=True,
    )


def _check_jobs(pattern: str, scopes: list[Scope]) -> None:
    if Scope.PING not in scopes or Scope.ADMIN in scopes:
        raise click.UsageError(
            "--jobs only limits scope ping: use it with --scope ping, and without "
            "--scope admin, which may ping every job"
        )
    try:
        compiled(pattern)
    except ValueError as error:
        raise click.UsageError(
            f"--jobs {pattern!r} is not a regular expression: {error}"
        ) from None
