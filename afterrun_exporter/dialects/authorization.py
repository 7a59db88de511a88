"""Who may manage the jobs of a project, and what is refused, in whatever dialect."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth.callers import ANYBODY
from afterrun_exporter.auth.redaction import without_key
from afterrun_exporter.auth.refusal_log import DESCRIPTION, RefusalLog
from afterrun_exporter.auth.requests import caller_of
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.projects import Project, by_api_key
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.errors import (
    ConfiguredJobError,
    DescriptionError,
    PingError,
    RequestError,
    UnknownJobError,
)


def project_of(
    context: DialectContext, request: web.Request, key: str
) -> Project | None:
    """Return the project whose jobs whoever sends *request* may manage; None for all.

    Where the daemon has locks, that has been found out. Where it has none, *key* is
    asked for as soon as any project has an API key; raises HTTPUnauthorized.
    """
    projects = [one for one in context.service.job_config.projects if one.api_key]
    caller = caller_of(request)
    if caller is not ANYBODY:
        mine = (one for one in projects if one.name == caller.project)
        return next(mine, None)
    if not projects:
        return None
    if not key:
        raise web.HTTPUnauthorized(text="missing api key")
    if (project := by_api_key(projects, key)) is None:
        raise web.HTTPUnauthorized(text="wrong api key")
    return project


def is_of(project: Project | None, job: Job) -> bool:
    """Return whether *job* is one that who has the key of *project* may manage."""
    return project is None or job.project == project.name


def check_is_of(project: Project | None, job: Job) -> None:
    """Raise HTTPForbidden for a job of another project."""
    if not is_of(project, job):
        raise web.HTTPForbidden(text=f"{job.name} is in another project")


def telling(
    context: DialectContext,
    handler: Handler,
    refusal: Callable[[int, str], web.Response],
) -> Handler:
    """Return *handler*, with what it refuses told by a *refusal*: status and reason.

    Descriptions that cannot be used are logged: their clients often show nothing.
    """
    refusals = RefusalLog(DESCRIPTION)

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await answered(request)
        if answer.status == web.HTTPBadRequest.status_code:
            reason = answer.text if isinstance(answer, web.Response) else ""
            path = without_key(request.path)
            refusals.tell(
                context.clock.elapsed(), of=path, path=path, reason=reason or ""
            )
        return answer

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (RequestError, DescriptionError, PingError) as error:
            return refusal(400, str(error))
        except UnknownJobError as error:
            return refusal(404, str(error))
        except ConfiguredJobError as error:
            return refusal(409, str(error))
        except web.HTTPException as error:
            return refusal(error.status, error.text or error.reason)

    return handle
