"""Whether a browser sends a request for another site than the one it is sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

#: Sent for our own page, or by a person who typed the address.
_OURS: Final = frozenset({"same-origin", "none"})
#: Methods with which no Origin is sent.
_UNTOLD: Final = frozenset({"GET", "HEAD"})
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


def is_foreign(headers: Mapping[str, str], host: str, method: str) -> bool:
    """Return True if another site than *host* may have made a browser send this.

    Programs send none of these headers, and are not asked for them. Over plain http to
    a name, browsers send none either with a GET: then the page it comes from must be
    one of ours.
    """
    if site := headers.get("Sec-Fetch-Site"):
        return site.lower() not in _OURS
    if origin := headers.get("Origin"):
        return not _is_of(origin, host)
    if method in _UNTOLD and _is_browser(headers):
        return not _is_of(headers.get("Referer", ""), host)
    return False


def _is_browser(headers: Mapping[str, str]) -> bool:
    """Return True if a browser sent this: a page cannot make it leave these headers out."""
    agent, accepted = headers.get("User-Agent", ""), headers.get("Accept", "")
    return (
        ("Mozilla/" in agent and "PowerShell/" not in agent)
        or "Upgrade-Insecure-Requests" in headers
        or "text/html" in accepted
        or "image/" in accepted
    )


def is_from(page: str, host: str) -> bool:
    """Return True if the URL *page* is on *host*."""
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
