"""Requests to the API of a running daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from http.client import HTTPException
from ssl import SSLCertVerificationError
from typing import Any, Final, TypeVar, cast
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import (
    HTTPRedirectHandler,
    ProxyHandler,
    Request,
    build_opener,
)

import click

from afterrun_exporter import __version__
from afterrun_exporter.client.urls import authorization, hidden, public_url
from afterrun_exporter.conventions import DEFAULT_PORT

#: The timeout in seconds, enough for queries of a long history.
PATIENCE: Final = 30.0

Command = TypeVar("Command", bound=Callable[..., Any])


class _NoRedirect(HTTPRedirectHandler):
    """A handler that does not follow redirects."""

    def redirect_request(self, *_: object) -> None:
        return None


#: Without proxies, because the daemon is usually on the same network.
_open = build_opener(ProxyHandler({}), _NoRedirect()).open


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
    return _answer(url, f"{path}?{encoded}" if encoded else path)


def post(url: str, path: str, body: Mapping[str, object]) -> Any:
    """Return the response of the daemon to *body*, posted to *path* as JSON."""
    return _answer(url, path, json.dumps(body).encode())


def segment(text: str) -> str:
    """Return *text* as one part of a path."""
    return quote(text, safe="")


def echo_json(answer: Any) -> None:
    """Print *answer* as JSON."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def _answer(url: str, path: str, body: bytes | None = None) -> Any:
    try:
        allowed = authorization(url, os.environ.get("AFTERRUN_TOKEN", "").strip())
    except ValueError as error:
        raise click.UsageError(f"AFTERRUN_TOKEN: {error}") from None
    # Without credentials from here on, because it is printed in messages.
    url = public_url(url)
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(
            f"--url {url!r} is not an http or https URL: write it like "
            f"http://localhost:{DEFAULT_PORT}"
        )
    headers = {"Content-Type": "application/json"} if body is not None else {}
    where = f"{url.rstrip('/')}/api/v1/{path}"
    try:
        request = Request(where, body, headers)  # noqa: S310 - it is checked above
        if allowed:
            # Not sent to the target of a redirect.
            request.add_unredirected_header("Authorization", allowed)
        with _open(request, timeout=PATIENCE) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            message = hidden(_refusal(url, error), allowed)
            raise click.ClickException(message) from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, SSLCertVerificationError):
            raise click.ClickException(
                f"the certificate of {url} is not trusted: "
                f"{reason.verify_message}; set SSL_CERT_FILE to its CA"
            ) from None
        cause = (
            getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        )
        raise click.ClickException(
            f"no response from {url}: {cause}; is the daemon running there? Set --url or "
            "AFTERRUN_URL for another address"
        ) from None
    except (ValueError, HTTPException):
        raise click.ClickException(f"{url} does not respond like AfterRun") from None


def _refusal(url: str, error: HTTPError) -> str:
    """Return the message of the daemon, or a description of another response."""
    if 300 <= error.code < 400 and (to := error.headers.get("Location")):
        return (
            f"{url} answered {error.code} with a redirect to {public_url(to)[:200]!r}; "
            "if that is the daemon, set --url or AFTERRUN_URL to it"
        )
    try:
        detail = str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{url} answered {error.code} and does not respond like AfterRun"
    is_unauthorized = error.code == HTTPStatus.UNAUTHORIZED
    return f"{detail}: put a token into AFTERRUN_TOKEN" if is_unauthorized else detail
