"""What `--web.listen-address` takes: ``:10707``, ``127.0.0.1:80``, ``[::1]:80``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.auth.hosts import is_loopback

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]]*)):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; host None is every interface."""

    host: str | None
    port: int

    def url(self, scheme: str = "http") -> str:
        """Return how to reach it from this machine."""
        return f"{scheme}://{_bracketed(self.host or 'localhost')}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        host = self.host or ""
        return is_loopback(host) or host.lower() == "localhost"

    def __str__(self) -> str:
        return f"{_bracketed(self.host or '')}:{self.port}"


def parse(text: str) -> Address:
    """Return the address that *text* stands for; raises ValueError if none."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ValueError(
            f"--web.listen-address {text!r} is not an address: write it like "
            ":10707, 127.0.0.1:10707 or [::1]:10707"
        )
    return Address(match[1] or match[2] or None, int(match[3]))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
