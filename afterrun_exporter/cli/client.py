"""Requests to the API of a running daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode

import click

from afterrun_exporter import __version__
from afterrun_exporter.client.settings import environ_token
from afterrun_exporter.client.transport import NOT_JSON, NoResponseError, Transport
from afterrun_exporter.client.urls import public_url
from afterrun_exporter.conventions import DEFAULT_PORT

#: The timeout in seconds, enough for queries of a long history.
PATIENCE: Final = 30.0

Command = TypeVar("Command", bound=Callable[..., Any])


def asks_daemon(command: Command) -> Command:
    """Add the common options `url` and `as_json` to *command*."""
    url = click.option(
        "--url",
        envvar="AFTERRUN_URL",
        default=f"http://localhost:{DEFAULT_PORT}",
        show_default=True,
        show_envvar=True,
        help="URL of the daemon.",
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print the JSON response of the API."
    )

    @wraps(command)
    def asking(**options: Any) -> None:
        try:
            command(**options)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            # Unexpected JSON: from another program or another version.
            where = public_url(options["url"])
            raise click.ClickException(
                f"{where} does not respond like AfterRun {__version__}: "
                f"{type(error).__name__} at {error}"
            ) from error

    return cast("Command", url(as_json(asking)))


def get(url: str, path: str, **query: object) -> Any:
    """Return the response of the daemon at *url* for *path*, without None parameters.

    A tuple becomes a repeated parameter.
    """
    parameters = {name: value for name, value in query.items() if value is not None}
    encoded = urlencode(parameters, doseq=True)
    return _request(url, "GET", f"{path}?{encoded}" if encoded else path)


def post(url: str, path: str, body: Mapping[str, object]) -> Any:
    """Return the response of the daemon to *body*, posted to *path* as JSON."""
    return _request(url, "POST", path, json.dumps(body).encode())


def segment(text: str) -> str:
    """Return *text* as one part of a path."""
    return quote(text, safe="")


def echo_json(answer: Any) -> None:
    """Print *answer* as JSON."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def _request(url: str, method: str, path: str, body: bytes | None = None) -> Any:
    transport = Transport(url, environ_token(os.environ))
    try:
        response = transport.request(method, f"/api/v1/{path}", PATIENCE, body)
    except NoResponseError as error:
        raise click.ClickException(f"{error}{error.hint}") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if response.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise click.ClickException(response.problem)
    if response.document is NOT_JSON:
        raise click.ClickException(f"{transport.url} does not respond like AfterRun")
    return response.document
