"""What every page has: where it stands, and what it links to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from afterrun_exporter.conventions import DEFAULT_PORT
from afterrun_exporter.page.assets import ADDRESSES
from afterrun_exporter.page.forms import Guard
from afterrun_exporter.page.times import moment

#: What a host can be called; anything else is not to be pasted into a shell.
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the daemon is reached, and what is said on each page."""

    version: str
    #: How jobs and people reach us; "" to guess.
    external_url: str = ""
    telemetry_path: str = "/metrics"
    #: Knows the forms of our own pages.
    guard: Guard

    def base(self, request: web.BaseRequest) -> str:
        """Return what leads from the page that *request* asks for to the root.

        Relative, so that it does not matter below which path a proxy serves us.
        """
        prefix = urlsplit(self.external_url).path.rstrip("/")
        if prefix:
            return f"{prefix}/"
        return "../" * (request.rel_url.raw_path.count("/") - 1) or "./"

    def url(self, request: web.BaseRequest) -> str:
        """Return where jobs reach us, without a slash at the end."""
        if self.external_url:
            return self.external_url.rstrip("/")
        if _HOST.fullmatch(request.host):
            return f"{request.scheme}://{request.host}"
        return f"http://localhost:{DEFAULT_PORT}"

    def common(self, request: web.BaseRequest, now: float) -> dict[str, Any]:
        """Return what the frame of every page needs."""
        base = self.base(request)
        return {
            "base": base,
            "asset": {name: f"{base}{where}" for name, where in ADDRESSES.items()},
            "as_of": moment(now, now),
            "version": self.version,
            "telemetry": f"{base}{self.telemetry_path.lstrip('/')}",
            "token": self.guard.token(request),
        }
