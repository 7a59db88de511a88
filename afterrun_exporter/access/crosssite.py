"""Whether a browser sends a request for another site than the one it is sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

#: Sent for our own page, or by a person who typed the address.
_OURS: Final = frozenset({"same-origin", "none"})
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


def is_foreign(headers: Mapping[str, str], host: str) -> bool:
    """Return whether another site than *host* has made a browser send this.

    Programs send none of these headers, and are not asked for them.
    """
    if site := headers.get("Sec-Fetch-Site"):
        return site.lower() not in _OURS
    if origin := headers.get("Origin"):
        return not _is_of(origin, host)
    return False


def is_from(page: str, host: str) -> bool:
    """Return whether the URL *page* is on *host*."""
    return _is_of(page, host)


def _is_of(url: str, host: str) -> bool:
    # The scheme is not compared: a proxy may have ended TLS for us.
    try:
        parts = urlsplit(url)
        default = _PORTS[parts.scheme]
        ours = urlsplit(f"//{host}")
        return bool(parts.hostname) and (
            parts.hostname,
            parts.port or default,
        ) == (ours.hostname, ours.port or default)
    except (KeyError, ValueError):
        return False
