"""Headers of answers that keep browsers from harm, and those an operator adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.requests import SCOPE

#: What a page may load and do: what comes from here, and no script within it.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

PAGE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # A form of ours says where it comes from, and nobody else is told.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Of what is read by programs, and should not become a page in a browser.
DATA: Final[Mapping[str, str]] = {"X-Content-Type-Options": "nosniff"}
#: The same where not everybody may ask for it: nobody is to find it in a cache.
LOCKED: Final[Mapping[str, str]] = {**DATA, "Cache-Control": "no-store"}


class Headers:
    """Sets them on every answer; what an operator or a handler has set stays."""

    def __init__(self) -> None:
        self._added: Mapping[str, str] = {}
        #: Those an operator adds, as they go over the wire.
        self.lines = b""

    def add(self, headers: Mapping[str, str]) -> None:
        """Add *headers* to every answer from now on, and no others."""
        self._added = dict(headers)
        self.lines = "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        ).encode()

    async def prepare(
        self, request: web.BaseRequest, response: web.StreamResponse
    ) -> None:
        """Complete *response*, which is about to be sent."""
        response.headers.update(self._added)
        scope = request.get(SCOPE)
        if response.content_type == "text/html":
            ours = PAGE
        elif scope is Scope.PING:
            # Jobs are no browsers, and many.
            ours = DATA
        else:
            ours = DATA if scope is None else LOCKED
        for name, value in ours.items():
            response.headers.setdefault(name, value)
