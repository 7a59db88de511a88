"""Results of authentication, stored in the request."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from afterrun_exporter.auth.callers import Caller, Scope

#: The caller that sent a request, and True if the key in its path identified it.
CALLER: Final[web.RequestKey[Caller]] = web.RequestKey("caller", Caller)
BY_KEY: Final[web.RequestKey[bool]] = web.RequestKey("by_key", bool)
#: The scope that a request requires; missing if it requires none.
SCOPE: Final[web.RequestKey[Scope]] = web.RequestKey("scope", Scope)
#: The route of a request as in the table of endpoints; "" if there is none.
ROUTE: Final[web.RequestKey[str]] = web.RequestKey("route", str)


def caller_of(request: web.Request) -> Caller:
    """Return the caller that sent *request*."""
    return request[CALLER]
