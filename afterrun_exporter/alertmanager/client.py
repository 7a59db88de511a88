"""Posts alerts to the API of Alertmanager, and says what became of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from afterrun_exporter.errors import AlertsRefusedError, PushError

#: An answer that takes longer is none.
TIMEOUT: Final = 5.0
#: What is quoted of an answer.
LONGEST_QUOTE: Final = 300

#: Posts alerts to the Alertmanager at a URL. Raises AlertsRefusedError when it finds
#: one of them wrong, PushError when it has not taken them for another reason.
Post = Callable[[str, Sequence[dict[str, Any]]], Awaitable[None]]


@asynccontextmanager
async def poster() -> AsyncIterator[Post]:
    """Yield what posts alerts, over connections that are kept."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def post(url: str, alerts: Sequence[dict[str, Any]]) -> None:
            try:
                async with session.post(
                    f"{url.rstrip('/')}/api/v2/alerts",
                    data=json.dumps(alerts).encode(),
                    headers={"Content-Type": "application/json"},
                    # A post that is redirected becomes a GET, and tells nobody.
                    allow_redirects=False,
                ) as answer:
                    await _check(answer)
            except TimeoutError:
                raise PushError(f"no answer within {TIMEOUT:g} seconds") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                # Neither the URL nor what quotes it: it may have a password in it.
                reason = str(error).replace(url, without_credentials(url))
                raise PushError(reason or type(error).__name__) from None

        yield post


def without_credentials(url: str) -> str:
    """Return *url* as it may be shown, without a slash at its end."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl().rstrip("/")


async def _check(answer: aiohttp.ClientResponse) -> None:
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    text = " ".join((await answer.text(errors="replace")).split())[:LONGEST_QUOTE]
    what = f"it answered {answer.status}: {text or answer.reason}"
    # A proxy that answers 400, or a port that wants TLS, says nothing about alerts.
    if answer.status == HTTPStatus.BAD_REQUEST and (
        answer.content_type == "application/json"
    ):
        raise AlertsRefusedError(what)
    raise PushError(what)
