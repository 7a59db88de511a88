"""Targets of receivers that were added over the API: validation and safe display."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit

from afterrun_exporter.core.routing import ReceiverType

MAX_URL: Final = 2048

# A mail address as in HTML, without braces, which would begin a template.
_MAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`|~-]{1,64}@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_MAX_MAIL: Final = 254
# RFC 3986. The braces that would begin a template are not among them.
_NOT_IN_A_URL = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]")
# URLs that all programs read alike, so that none refuses one.
_PLAIN_URL = re.compile(
    r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~/-]*)?"
)
_URL_EXAMPLE: Final = "write it like https://hooks.example.com/afterrun"


def check_target(kind: ReceiverType, target: str) -> None:
    """Raise ValueError if *target* is invalid for a receiver of *kind*."""
    if kind is ReceiverType.EMAIL:
        _check_mail(target)
    else:
        _check_url(target)
        if kind is ReceiverType.DISCORD and "?" in target:
            # /slack is added to its end.
            raise ValueError("it has a query: leave out ? and the rest")


def is_plain(kind: ReceiverType, target: str) -> bool:
    """Return True if Alertmanager cannot refuse a configuration for this valid target."""
    # Only the URLs of webhooks are in the file as URLs: others have files of their own.
    return kind is not ReceiverType.WEBHOOK or bool(_PLAIN_URL.fullmatch(target))


def displayed(kind: ReceiverType, target: str) -> str:
    """Return *target* for display: of a URL the host only.

    Anyone with the rest of a URL can often post to the channel behind it.
    """
    if kind is ReceiverType.EMAIL:
        return target
    host = origin(kind, target)
    rest = target[len(host) :].strip("/")
    return f"{host}/\N{HORIZONTAL ELLIPSIS}" if rest else target


def origin(kind: ReceiverType, target: str) -> str:
    """Return the part of *target* that is safe to log: scheme and host."""
    if kind is ReceiverType.EMAIL:
        return f"mailto:{target.rpartition('@')[2]}"
    url = urlsplit(target)
    return f"{url.scheme}://{url.netloc}"


def _check_mail(target: str) -> None:
    if len(target) > _MAX_MAIL or not _MAIL.fullmatch(target):
        raise ValueError(
            f"{target[:_MAX_MAIL]!r} is not a mail address: write one, like "
            "oncall@example.com"
        )


def _check_url(target: str) -> None:
    if len(target) > MAX_URL:
        raise ValueError(f"it has {len(target)} characters: use at most {MAX_URL}")
    if odd := _NOT_IN_A_URL.search(target):
        raise ValueError(
            f"it has {odd[0]!r}, which a URL may not have: write it as "
            f"{quote(odd[0], safe='')}"
        )
    try:
        url = urlsplit(target)
        port = url.port
    except ValueError as error:
        reason = str(error).lower()
        raise ValueError(f"it is not a URL: {reason}; {_URL_EXAMPLE}") from None
    if "@" in url.netloc:
        # Not quoted: it is a password.
        raise ValueError(
            "it has a user or password before its host: leave them out, they would "
            "be in a file that others can read"
        )
    if url.scheme not in {"http", "https"} or not url.hostname or port == 0:
        raise ValueError(f"{target!r} is not an http or https URL: {_URL_EXAMPLE}")
    if "#" in target:
        raise ValueError(
            f"it has a fragment, {url.fragment!r}: leave out # and the rest"
        )
