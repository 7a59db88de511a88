"""Paths that several dialects share, and the choice of the dialect for a request.

``/ping/A/B`` is Healthchecks' ``/ping/KEY/SLUG`` and Cronitor's ``/ping/KEY/JOB``.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from afterrun_exporter.auth import endpoints
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.dialects.cronitor import telemetry as cronitor
from afterrun_exporter.dialects.healthchecks import pings as healthchecks

#: Methods of Cronitor's clients; OPTIONS is never a ping.
METHODS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_POST})


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the shared paths and of the paths below them."""
    by_slug, by_key = healthchecks.by_slug(context), cronitor.by_key(context)

    async def either(request: web.Request) -> web.StreamResponse:
        is_cronitor = request.method in METHODS and cronitor.speaks_cronitor(
            request.query
        )
        return await (by_key if is_cronitor else by_slug)(request)

    return [*endpoints.BY_KEY.to(either), *endpoints.BY_KEY_SIGNAL.to(by_slug)]
