"""Questions to a running daemon, over its API."""

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
from afterrun_exporter.client.urls import authorization, public_url
from afterrun_exporter.conventions import DEFAULT_PORT

#: A question to a long history takes a while.
PATIENCE: Final = 30.0

Command = TypeVar("Command", bound=Callable[..., Any])


class _NoRedirect(HTTPRedirectHandler):
    """Follows nothing: what answers a question is the daemon that was asked."""

    def redirect_request(self, *_: object) -> None:
        return None


#: The daemon is near: a proxy for the way out would only be in the way.
_open = build_opener(ProxyHandler({}), _NoRedirect()).open


def asks_daemon(command: Command) -> Command:
    """Give *command* the options of all that ask a daemon: `url` and `as_json`."""
    url = click.option(
        "--url",
        envvar="AFTERRUN_URL",
        default=f"http://localhost:{DEFAULT_PORT}",
        show_default=True,
        show_envvar=True,
        help="Where the daemon is.",
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print what the API answers."
    )

    @wraps(command)
    def asking(**given: Any) -> None:
        try:
            command(**given)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            # JSON, but not what this program knows: another one, or another version.
            where = public_url(given["url"])
            raise click.ClickException(
                f"{where} does not answer like AfterRun {__version__}: "
                f"{type(error).__name__} at {error}"
            ) from error

    return cast("Command", url(as_json(asking)))


def get(url: str, path: str, **query: object) -> Any:
    """Return what the daemon at *url* says to *path*; what is None is not asked for.

    What is a tuple is asked for so many times.
    """
    asked = {name: value for name, value in query.items() if value is not None}
    given = urlencode(asked, doseq=True)
    return _answer(url, f"{path}?{given}" if given else path)


def post(url: str, path: str, body: Mapping[str, object]) -> Any:
    """Return what the daemon says to *body*, sent to *path* as JSON."""
    return _answer(url, path, json.dumps(body).encode())


def segment(text: str) -> str:
    """Return *text* as one part of a path."""
    return quote(text, safe="")


def echo_json(answer: Any) -> None:
    """Print *answer* for a program to read."""
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def _answer(url: str, path: str, body: bytes | None = None) -> Any:
    try:
        allowed = authorization(url, os.environ.get("AFTERRUN_TOKEN", "").strip())
    except ValueError as error:
        raise click.UsageError(f"AFTERRUN_TOKEN: {error}") from None
    # From here on without credentials: it is printed.
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
            # Not to whoever this daemon may send us on to.
            request.add_unredirected_header("Authorization", allowed)
        with _open(request, timeout=PATIENCE) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            raise click.ClickException(_refusal(url, error)) from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, SSLCertVerificationError):
            raise click.ClickException(
                f"{url} shows a certificate that is not trusted: "
                f"{reason.verify_message}; SSL_CERT_FILE names the CA that it is of"
            ) from None
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise click.ClickException(
            f"no answer from {url}: {said}; is the daemon running there? --url or "
            "AFTERRUN_URL names another"
        ) from None
    except (ValueError, HTTPException):
        raise click.ClickException(f"{url} does not answer like AfterRun") from None


def _refusal(url: str, error: HTTPError) -> str:
    """Return the daemon's own words, if it was the daemon who spoke."""
    if 300 <= error.code < 400 and (to := error.headers.get("Location")):
        return (
            f"{url} answered {error.code}: it sends on to {public_url(to)[:200]!r}; "
            "if that is the daemon, name it with --url or AFTERRUN_URL"
        )
    try:
        said = str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{url} answered {error.code}: it does not answer like AfterRun"
    wanted = error.code == HTTPStatus.UNAUTHORIZED
    return f"{said}: put a token into AFTERRUN_TOKEN" if wanted else said
