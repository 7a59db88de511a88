"""By which names a daemon is reached, so that no other name is used against it.

A web site can have its own name lead to the machine of whoever looks at it (DNS
rebinding). To the browser that is one site, but the name in Host gives it away.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_LOCAL: Final = "localhost"


class Hosts:
    """Names beside addresses and localhost, which no web site can have."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)

    def has(self, host: str) -> bool:
        """Return whether *host*, with or without a port, is a name of ours."""
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
    """Return whether *address* is one that only this machine has."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
