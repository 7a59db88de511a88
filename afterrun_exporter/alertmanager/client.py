"""HTTP client for the alerts API of Alertmanager."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from afterrun_exporter.errors import AlertsRefusedError, PushError

#: Seconds until a request times out.
TIMEOUT: Final = 5.0
#: Errors of requests without a response.
FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
#: The most characters of a response that are quoted.
LONGEST_QUOTE: Final = 300

#: Posts alerts to the Alertmanager at a URL. Raises AlertsRefusedError if one of them is
#: invalid, and PushError for any other failure.
Post = Callable[[str, Sequence[dict[str, Any]]], Awaitable[None]]


@asynccontextmanager
async def alertmanager_client() -> AsyncIterator[Post]:
    """Yield a function that posts alerts over persistent connections."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def post(url: str, alerts: Sequence[dict[str, Any]]) -> None:
            try:
                async with session.post(
                    f"{url.rstrip('/')}/api/v2/alerts",
                    data=json.dumps(alerts).encode(),
                    headers={"Content-Type": "application/json"},
                    # A redirected POST becomes a GET, which posts nothing.
                    allow_redirects=False,
                ) as response:
                    await _check(response)
            except FAILURES as error:
                # Remove the URL from the message: it may contain a password.
                reason = failure(error, TIMEOUT)
                reason = reason.replace(url, without_credentials(url))
                raise PushError(reason) from None

        yield post


def failure(error: Exception, timeout: float) -> str:
    """Return the reason why there is no response, without aiohttp's wrapping."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    cause = getattr(error, "os_error", error)
    # The numbers of TLS errors are not errno values.
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        if cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno)
        return cause.strerror or str(cause)
    return str(error) or type(error).__name__


def without_credentials(url: str) -> str:
    """Return *url* without credentials, query and trailing slash."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl().rstrip("/")


async def _check(response: aiohttp.ClientResponse) -> None:
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    text = " ".join((await response.text(errors="replace")).split())[:LONGEST_QUOTE]
    problem = f"it answered {response.status}: {text or response.reason}"
    # A 400 from a proxy, or from a TLS port, is no judgement of the alerts.
    if response.status == HTTPStatus.BAD_REQUEST and (
        response.content_type == "application/json"
    ):
        raise AlertsRefusedError(problem)
    raise PushError(problem)
