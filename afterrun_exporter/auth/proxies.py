"""What proxies say of those they speak for, where they are believed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_PORT: Final = re.compile(r"\[?(.*?)\]?:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Who has really asked, and for what; None where the proxy did not say."""

    client: str
    scheme: str | None = None
    host: str | None = None


class Proxies:
    """The networks whose words count; nobody's do where there are none."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raise ValueError for what is no network, such as 10.0.0.0/8."""
        self._networks = tuple(map(ip_network, networks))
        self._trusts = lru_cache(maxsize=1024)(self._is_inside)

    def trusts(self, peer: str | None) -> bool:
        """Return whether what *peer* says of others is believed."""
        return bool(self._networks) and self._trusts(peer or "")

    def forwarded(
        self,
        peer: str,
        clients: Sequence[str] = (),
        schemes: Sequence[str] = (),
        hosts: Sequence[str] = (),
    ) -> Forwarded:
        """Return what the X-Forwarded- headers that *peer* sent come to.

        Each proxy adds whom it speaks for at the end, so they are read from there, as
        long as they are believed; what a client has put before is never reached.
        """
        return Forwarded(
            self.client(peer, clients), _scheme(_last(schemes)), _host(_last(hosts))
        )

    def client(self, peer: str, clients: Sequence[str]) -> str:
        """Return for whom *peer* speaks, by its X-Forwarded-For headers."""
        told = peer
        for part in reversed(",".join(clients).split(",")):
            if (address := _address(part.strip())) is None:
                break
            told = str(address)
            if not self.trusts(told):
                break
        return told

    def _is_inside(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in one for one in self._networks)


def _address(text: str) -> Address | None:
    port = _PORT.fullmatch(text)
    for written in (text, port[1] if port else ""):
        try:
            # An address of a link comes with the name of the link.
            found = ip_address(written.partition("%")[0])
        except ValueError:
            continue
        return getattr(found, "ipv4_mapped", None) or found
    return None


def _last(values: Sequence[str]) -> str:
    return values[-1].rpartition(",")[2].strip() if values else ""


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in {"http", "https"} else None


def _host(text: str) -> str | None:
    return text if _HOST.fullmatch(text) else None
