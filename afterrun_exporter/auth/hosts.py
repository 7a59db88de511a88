"""Accepted host names, as a protection against DNS rebinding.

A web site can make its own name resolve to the visitor's machine. To the browser that
is the same site, but the Host header still has the name of the web site.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_LOCAL: Final = "localhost"


class Hosts:
    """Accepted host names, in addition to IP addresses and localhost."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)

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
            or _is_address(name)
        )


def is_loopback(address: str) -> bool:
    """Return True if *address* is a loopback address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
