"""Security headers of responses, and configured headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.request_caller import SCOPE

#: Pages may load only resources of this daemon, and no inline scripts.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

PAGE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Send a Referer with the daemon's own forms, and to no other site.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Headers of responses for programs, which browsers should not render.
DATA: Final[Mapping[str, str]] = {"X-Content-Type-Options": "nosniff"}
#: Headers of responses that require authentication: caches must not store them.
LOCKED: Final[Mapping[str, str]] = {**DATA, "Cache-Control": "no-store"}


class Headers:
    """Sets default headers of responses, without replacing existing ones."""

    def __init__(self) -> None:
        self._added: Mapping[str, str] = {}
        #: The lines of configured headers.
        self.lines = b""

    def add(self, headers: Mapping[str, str]) -> None:
        """Replace the headers that are added to every response."""
        self._added = dict(headers)
        self.lines = "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        ).encode()

    async def prepare(
        self, request: web.BaseRequest, response: web.StreamResponse
    ) -> None:
        """Add the headers to *response*, which is about to be sent."""
        response.headers.update(self._added)
        scope = request.get(SCOPE)
        # Jobs are not browsers; keep their responses small.
        ours = DATA if scope in {None, Scope.PING} else LOCKED
        if response.content_type == "text/html":
            ours = PAGE
        for name, value in ours.items():
            response.headers.setdefault(name, value)
