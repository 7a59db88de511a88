"""Forms of the page, and nobody else's: what changes something comes from here.

A browser sends a password along with whatever any site makes it send. So a form is
taken when the browser says that it comes from a page of ours, and when it has in it
what only such a page knows.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from afterrun_exporter.auth.cross_site import is_foreign, is_from
from afterrun_exporter.auth.requests import CALLER
from afterrun_exporter.clock import Clock
from afterrun_exporter.errors import ForbiddenError

#: The name of the hidden field, as the pages have it.
FIELD: Final = "token"
#: How long a page may stay open before its forms are sent.
VALID: Final = 12 * 3600.0

FOREIGN: Final = (
    "this form was sent for another site: open the page here, and send that"
)
OLD: Final = "this form is too old: load the page again, and send that"


class Forms:
    """Marks the forms of our pages, and knows them again.

    The secret is made at the start: a restart makes forms old.
    """

    def __init__(self, clock: Clock, secret: bytes | None = None) -> None:
        self._clock = clock
        self._secret = secret or secrets.token_bytes(32)

    def token(self, request: web.BaseRequest) -> str:
        """Return what goes into field `FIELD` of the forms on the page for *request*."""
        issued = f"{int(self._clock.elapsed())}"
        return f"{issued}.{self._mark(issued, _whose(request))}"

    def check(self, request: web.BaseRequest, form: Mapping[str, Any]) -> None:
        """Return if *form* comes from a page of ours; raise ForbiddenError if not."""
        if is_foreign(request.headers, request.host, request.method):
            raise ForbiddenError(FOREIGN)
        page = request.headers.get("Referer", "")
        told = {"Sec-Fetch-Site", "Origin"} & request.headers.keys()
        if not told and page and not is_from(page, request.host):
            raise ForbiddenError(FOREIGN)
        issued, _, mark = str(form.get(FIELD, "")).partition(".")
        known = self._mark(issued, _whose(request))
        if not hmac.compare_digest(mark.encode(), known.encode()):
            raise ForbiddenError(OLD)
        # Only we can have marked it: it is a number.
        if not self._clock.elapsed() - int(issued) <= VALID:
            raise ForbiddenError(OLD)

    def _mark(self, issued: str, whose: str) -> str:
        said = f"{issued}.{whose}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, said, "sha256").hexdigest()


def _whose(request: web.BaseRequest) -> str:
    caller = request.get(CALLER)
    return caller.name if caller is not None else ""
