"""`afterrun token new`: a token for whoever is to be let in."""

from __future__ import annotations

import json

import click

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.tokens import new_token
from afterrun_exporter.core.patterns import compiled
from afterrun_exporter.core.secrets import digest


@click.group()
def token() -> None:
    """Make tokens for those who are to be let in."""


@token.command()
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    required=True,
    help="What it allows; may be repeated.",
)
@click.option(
    "--jobs",
    metavar="PATTERN",
    help="A regular expression: the whole names of the jobs that it may ping.",
)
@click.option("--name", help="What the log calls it.")
def new(scopes: tuple[str, ...], jobs: str | None, name: str | None) -> None:
    """Print a new token, and what to write into afterrun.yml.

    The token is nowhere else: what is written into the file does not tell it.
    """
    given = [Scope(scope) for scope in dict.fromkeys(scopes)]
    if jobs is not None:
        _check_jobs(jobs, given)
    made = new_token()
    words = {
        "name": name or "-".join(given),
        "hash": digest(made),
        "scopes": given,
        "jobs": jobs,
    }
    # JSON is YAML, whatever is in a name or a pattern.
    entry = ", ".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in words.items()
        if value is not None
    )
    click.echo(made)
    click.echo(
        "\nThe line above is the token, and is shown this once. Into afterrun.yml goes "
        f"what it is known by:\n\nauth:\n  tokens:\n    - {{{entry}}}\n",
        err=True,
    )


def _check_jobs(pattern: str, scopes: list[Scope]) -> None:
    if Scope.PING not in scopes or Scope.ADMIN in scopes:
        raise click.UsageError(
            "--jobs limits scope ping alone: use it with --scope ping, and without "
            "--scope admin, which may ping every job"
        )
    try:
        compiled(pattern)
    except ValueError as error:
        raise click.UsageError(
            f"--jobs {pattern!r} is not a regular expression: {error}"
        ) from None
