"""Accepted host names, as a protection against DNS rebinding.

A web site can make its own name resolve to the visitor's machine. To the browser that
is the same site, but the Host header still has the name of the web site.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

_LOCAL: Final = "localhost"


class Hosts:
    """Accepted host names, in addition to IP addresses and localhost."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)

    def accept(self, url: str) -> None:
        """Accept the host name of *url*, too."""
        if name := urlsplit(url).hostname:
            self._names |= {name}

    def has(self, host: str) -> bool:
        """Return True if *host*, with or without a port, is accepted."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        return (
            name in self._names
            or name == _LOCAL
            or name.endswith(f".{_LOCAL}")
            or address_of(name) is not None
        )


def is_loopback(text: str) -> bool:
    """Return True if *text* is a loopback address."""
    address = address_of(text)
    return address is not None and address.is_loopback


def address_of(text: str) -> Address | None:
    """Return the IP address *text*; None if it is none."""
    try:
        # A link-local address has the name of the link as a suffix.
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
