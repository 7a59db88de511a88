"""Paths that several dialects share, and which of them a request speaks.

``/ping/A/B`` is Healthchecks' ``/ping/KEY/SLUG``, and Cronitor's ``/ping/KEY/JOB``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import hdrs, web

from afterrun_exporter.ingest import healthchecks
from afterrun_exporter.ingest.desk import Desk

#: Parameters that only Cronitor's clients send.
CRONITOR: Final = frozenset({"state", "series", "metric", "stamp"})


def speaks_cronitor(query: Iterable[str]) -> bool:
    """Return whether these parameters are from one of Cronitor's clients."""
    return not CRONITOR.isdisjoint(query)


def routes(desk: Desk) -> list[web.RouteDef]:
    """Return the routes of the paths that are shared, and of those below them."""
    by_slug = healthchecks.by_slug(desk)
    two, three = "/ping/{key}/{job}{slash:/?}", "/ping/{key}/{job}/{signal}{slash:/?}"
    return [
        web.route(hdrs.METH_ANY, two, by_slug),
        web.route(hdrs.METH_ANY, three, by_slug),
    ]
