"""The way of single reports, which are nearly all there is, past the router."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from afterrun_exporter.core.model import JOB_NAME
from afterrun_exporter.ingest.native import Report
from afterrun_exporter.problems import errors_as_problems

PREFIX: Final = "/ping/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def shortcut(report: Report, otherwise: Handler) -> Handler:
    """Return *otherwise*, the application, with *report* in front of it.

    It answers what the route of single reports would: finding that route, and the
    middlewares on the way, take as long as reading the report.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        # Who wants to be asked for the body is asked by the application.
        if request.method != hdrs.METH_POST or hdrs.EXPECT in request.headers:
            return await otherwise(request)
        path = request.rel_url.raw_path
        job = path.removeprefix(PREFIX)
        if job is path or not JOB_NAME.fullmatch(job):
            return await otherwise(request)
        try:
            return await report(request, job)
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            return await errors_as_problems(request, _raising(error))

    return handle


def _raising(error: Exception) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        raise error

    return handle
