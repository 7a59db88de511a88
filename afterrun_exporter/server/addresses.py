"""Values of `--web.listen-address`: ``:10707``, ``127.0.0.1:80``, ``[::1]:80``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.auth.hosts import is_loopback

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]]*)):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on; host None means every interface."""

    host: str | None
    port: int

    def url(self, scheme: str = "http") -> str:
        """Return the URL for clients on this machine."""
        return f"{scheme}://{_bracketed(self.host or 'localhost')}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach it."""
        host = self.host or ""
        return is_loopback(host) or host.lower() == "localhost"

    def __str__(self) -> str:
        return f"{_bracketed(self.host or '')}:{self.port}"


def parse(text: str) -> Address:
    """Return *text* parsed as an address; raise ValueError if it is invalid."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ValueError(
            f"--web.listen-address {text!r} is not an address: write it like "
            ":10707, 127.0.0.1:10707 or [::1]:10707"
        )
    return Address(match[1] or match[2] or None, int(match[3]))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
