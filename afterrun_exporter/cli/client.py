"""Requests to the API of a running daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode

import click

from afterrun_exporter import __version__
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.client.settings import find_token
from afterrun_exporter.client.transport import NOT_JSON, NoResponseError, Transport
from afterrun_exporter.client.urls import DEFAULT_URL, public_url

#: The timeout in seconds, enough for queries of a long history.
PATIENCE: Final = 30.0

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Daemon:
    """The API of the daemon at a URL."""

    url: str
    token: str

    def get(self, path: str, **query: object) -> Any:
        """Return the response for *path*, without the parameters that are None.

        A tuple becomes a repeated parameter.
        """
        parameters = {name: value for name, value in query.items() if value is not None}
        encoded = urlencode(parameters, doseq=True)
        return self._request("GET", f"{path}?{encoded}" if encoded else path)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Return the response to *body*, posted to *path* as JSON."""
        return self._request("POST", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        transport = Transport(self.url, self.token)
        try:
            response = transport.request(method, f"/api/v1/{path}", PATIENCE, body)
        except NoResponseError as error:
            raise click.ClickException(f"{error}{error.hint}") from None
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise click.ClickException(response.problem)
        if response.document is NOT_JSON:
            raise click.ClickException(
                f"{transport.url} does not respond like AfterRun"
            )
        return response.document


def asks_daemon(command: Command) -> Command:
    """Add the common options of *command*, whose parameters are `daemon` and `as_json`."""

    @wraps(command)
    def asking(url: str, token_file: str | None, **options: Any) -> None:
        daemon = Daemon(url, find_token(os.environ, token_file, warn))
        try:
            command(daemon=daemon, **options)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            # Unexpected JSON: from another program or another version.
            raise click.ClickException(
                f"{public_url(url)} does not respond like AfterRun {__version__}: "
                f"{type(error).__name__} at {error}"
            ) from error

    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print the JSON response of the API."
    )
    return cast("Command", url_option(token_option(as_json(asking))))


url_option = click.option(
    "--url",
    envvar="AFTERRUN_URL",
    default=DEFAULT_URL,
    show_default=True,
    show_envvar=True,
    help="URL of the daemon.",
)
token_option = click.option(
    "--token-file",
    type=PathType(dir_okay=False, path_type=None),
    metavar="PATH",
    help="File with the token. AFTERRUN_TOKEN has the token itself.",
)


def warn(message: str) -> None:
    """Print a warning about an option."""
    click.echo(f"Warning: {message}", err=True)


def segment(text: str) -> str:
    """Return *text* as one part of a path."""
    return quote(text, safe="")


def echo_json(answer: Any) -> None:
    """Print *answer* as JSON."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
