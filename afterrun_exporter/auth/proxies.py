"""X-Forwarded headers of trusted proxies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from afterrun_exporter.auth.hosts import Address, address_of

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_PORT: Final = re.compile(r"\[?(.*?)\]?:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The original client, scheme and host; None if the proxy did not send them."""

    client: str
    scheme: str | None = None
    host: str | None = None


class Proxies:
    """The networks of trusted proxies."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raise ValueError for an invalid network; 10.0.0.0/8 is valid."""
        self._networks = tuple(map(ip_network, networks))
        self._trusts = lru_cache(maxsize=1024)(self._is_inside)

    def trusts(self, peer: str | None) -> bool:
        """Return True if *peer* is a trusted proxy."""
        return bool(self._networks) and self._trusts(peer or "")

    def forwarded(
        self,
        peer: str,
        clients: Sequence[str] = (),
        schemes: Sequence[str] = (),
        hosts: Sequence[str] = (),
    ) -> Forwarded:
        """Return the contents of the X-Forwarded headers in a request from *peer*.

        Each proxy appends its client, so the headers are read from the end, as long as
        the addresses are trusted. Entries forged by a client are never reached.
        """
        return Forwarded(
            self.client(peer, clients), _scheme(_last(schemes)), _host(_last(hosts))
        )

    def client(self, peer: str, clients: Sequence[str]) -> str:
        """Return the original client, by the X-Forwarded-For headers of *peer*."""
        client = peer
        for part in reversed(",".join(clients).split(",")):
            if (address := _address(part.strip())) is None:
                break
            client = str(address)
            if not self.trusts(client):
                break
        return client

    def _is_inside(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in one for one in self._networks)


def _address(text: str) -> Address | None:
    port = _PORT.fullmatch(text)
    return address_of(text) or (address_of(port[1]) if port else None)


def _last(values: Sequence[str]) -> str:
    return values[-1].rpartition(",")[2].strip() if values else ""


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in {"http", "https"} else None


def _host(text: str) -> str | None:
    return text if _HOST.fullmatch(text) else None
