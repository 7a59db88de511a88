"""Detection of cross-site requests from browsers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

#: Values of Sec-Fetch-Site for the daemon's own pages and for typed addresses.
_SAME_SITE: Final = frozenset({"same-origin", "none"})
#: Methods for which browsers send no Origin.
_WITHOUT_ORIGIN: Final = frozenset({"GET", "HEAD"})
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


def is_foreign(headers: Mapping[str, str], host: str, method: str) -> bool:
    """Return True if a site other than *host* may have caused this request.

    Programs send none of these headers, and need none. Browsers send none with a GET
    over plain http to a host name: such a request must have a Referer on *host*.
    """
    if site := headers.get("Sec-Fetch-Site"):
        return site.lower() not in _SAME_SITE
    if origin := headers.get("Origin"):
        return not is_from(origin, host)
    if method in _WITHOUT_ORIGIN and _is_browser(headers):
        return not is_from(headers.get("Referer", ""), host)
    return False


def _is_browser(headers: Mapping[str, str]) -> bool:
    """Return True if a browser sent this: pages cannot suppress these headers."""
    agent, accepted = headers.get("User-Agent", ""), headers.get("Accept", "")
    return (
        ("Mozilla/" in agent and "PowerShell/" not in agent)
        or "Upgrade-Insecure-Requests" in headers
        or "text/html" in accepted
        or "image/" in accepted
    )


def is_from(url: str, host: str) -> bool:
    """Return True if *url* is on *host*."""
    # Do not compare the scheme: a proxy may terminate TLS.
    try:
        parts = urlsplit(url)
        default = _PORTS[parts.scheme]
        own = urlsplit(f"//{host}")
        return bool(parts.hostname) and (
            parts.hostname,
            parts.port or default,
        ) == (own.hostname, own.port or default)
    except (KeyError, ValueError):
        return False
