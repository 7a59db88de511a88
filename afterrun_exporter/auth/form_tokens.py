"""Protection of the page's forms against cross-site request forgery.

A browser sends a stored password with requests caused by any site. So a form is
accepted only if the browser's headers name a page of this daemon, and if the form has
a valid token from such a page.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from afterrun_exporter.auth.cross_site import is_foreign, is_from
from afterrun_exporter.auth.forbidden import FOREIGN, OLD
from afterrun_exporter.auth.request_caller import CALLER
from afterrun_exporter.clock import Clock
from afterrun_exporter.errors import ForbiddenError

#: The name of the hidden field in the forms.
FIELD: Final = "token"
#: The lifetime of a token, in seconds.
VALID: Final = 12 * 3600.0


class Forms:
    """Issues and verifies the tokens of forms.

    All replicas have the same *secret*, so a form may be sent to another one than its
    page came from. Without one it is generated at startup, and a restart invalidates
    open forms.
    """

    def __init__(self, clock: Clock, secret: bytes | None = None) -> None:
        self._clock = clock
        self._secret = secret or secrets.token_bytes(32)

    def token(self, request: web.BaseRequest) -> str:
        """Return the value of field `FIELD` in the forms on the page for *request*."""
        issued = f"{int(self._clock.now())}"
        return f"{issued}.{self._mark(issued, _user(request))}"

    def check(self, request: web.BaseRequest, form: Mapping[str, Any]) -> None:
        """Raise ForbiddenError if *form* does not come from a page of this daemon."""
        if is_foreign(request.headers, request.host, request.method):
            raise ForbiddenError(FOREIGN)
        page = request.headers.get("Referer", "")
        site_headers = {"Sec-Fetch-Site", "Origin"} & request.headers.keys()
        if not site_headers and page and not is_from(page, request.host):
            raise ForbiddenError(FOREIGN)
        issued, _, mark = str(form.get(FIELD, "")).partition(".")
        expected = self._mark(issued, _user(request))
        if not hmac.compare_digest(mark.encode(), expected.encode()):
            raise ForbiddenError(OLD)
        # The signature is valid, so this is a number.
        if not self._clock.now() - int(issued) <= VALID:
            raise ForbiddenError(OLD)

    def _mark(self, issued: str, user: str) -> str:
        message = f"{issued}.{user}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, "sha256").hexdigest()


def _user(request: web.BaseRequest) -> str:
    caller = request.get(CALLER)
    return caller.name if caller is not None else ""
