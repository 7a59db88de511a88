"""Error pages for browsers; other clients get problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from afterrun_exporter.clock import Clock
from afterrun_exporter.errors import OutdatedError
from afterrun_exporter.http_problems import HEADERS, logged_problem
from afterrun_exporter.page.common_context import Site
from afterrun_exporter.page.rendering import page

#: Paths for programs, also if a browser requests them.
PROGRAMS: Final = ("/ping", "/api/", "/-/")

_HINTS: Final = {
    HTTPStatus.NOT_FOUND: "This page does not exist.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not accept such a request: go "
    "back and use the page.",
}


def errors_as_pages(site: Site, clock: Clock) -> Middleware:
    """Return the middleware that renders errors as pages for browsers."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_for_people(request, site):
            return await handler(request)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            detail = _HINTS.get(HTTPStatus(error.status)) or error.text or error.reason
            answer = await _page(site, clock, request, error.status, detail)
            if "Allow" in error.headers:
                answer.headers["Allow"] = error.headers["Allow"]
            return answer
        except ConnectionResetError:
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            problem = logged_problem(error, request.method, request.path)
            answer = await _page(
                site,
                clock,
                request,
                problem["status"],
                problem["detail"],
                is_outdated=isinstance(error, OutdatedError),
            )
            # WWW-Authenticate makes a browser ask for a password.
            answer.headers.extend(HEADERS.get(problem["status"], ()))
            return answer

    return middleware


def _is_for_people(request: web.Request, site: Site) -> bool:
    return (
        "text/html" in request.headers.get("Accept", "")
        and not request.path.startswith(PROGRAMS)
        and request.path != site.telemetry_path
    )


async def _page(
    site: Site,
    clock: Clock,
    request: web.Request,
    status: int,
    detail: str,
    *,
    is_outdated: bool = False,
) -> web.Response:
    return await page(
        "error.html",
        code=status,
        **site.common(request, clock.now()),
        title=HTTPStatus(status).phrase,
        detail=f"{detail[0].upper()}{detail[1:]}",
        near=[],
        is_outdated=is_outdated,
    )
