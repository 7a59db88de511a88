"""Refusal of requests while the states of jobs may be out of date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.request_caller import ROUTE, SCOPE
from afterrun_exporter.errors import OutdatedError

OUTDATED: Final = "this replica may be out of date: {}"


def only_fresh(outdated: Callable[[], str]) -> Middleware:
    """Return the middleware that refuses requests which depend on outdated states.

    *outdated* returns the reason why the states are out of date, or "". It is called
    once for each request.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (reason := outdated()) and endpoints.needs_states(
            request.method, request[ROUTE]
        ):
            message = OUTDATED.format(reason)
            if request.get(SCOPE) is Scope.PING:
                message += "; nothing was recorded: send it again"
            raise OutdatedError(message)
        return await handler(request)

    return refuse
