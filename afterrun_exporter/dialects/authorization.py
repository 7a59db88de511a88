"""Authorization and error responses of the management APIs of all dialects."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth import forbidden
from afterrun_exporter.auth.callers import ANYBODY
from afterrun_exporter.auth.redaction import without_key
from afterrun_exporter.auth.refusal_log import DESCRIPTION, RefusalLog
from afterrun_exporter.auth.request_caller import caller_of
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
    """Return the project whose jobs the caller may manage; None for all jobs.

    If authentication is configured, the caller is already identified. Otherwise *key*
    is required as soon as any project has an API key. Raises HTTPUnauthorized.
    """
    projects = [one for one in context.service.job_config.projects if one.api_key]
    caller = caller_of(request)
    if caller is not ANYBODY:
        own = (one for one in projects if one.name == caller.project)
        return next(own, None)
    if not projects:
        return None
    if not key:
        raise web.HTTPUnauthorized(text="missing api key")
    if (project := by_api_key(projects, key)) is None:
        raise web.HTTPUnauthorized(text="wrong api key")
    return project


def is_in_project(project: Project | None, job: Job) -> bool:
    """Return True if *job* can be managed with the key of *project*."""
    return project is None or job.project == project.name


def check_in_project(project: Project | None, job: Job) -> None:
    """Raise HTTPForbidden for a job of another project."""
    if not is_in_project(project, job):
        raise web.HTTPForbidden(text=forbidden.OTHER_PROJECT.format(job=job.name))


def with_error_responses(
    context: DialectContext,
    handler: Handler,
    refusal: Callable[[int, str], web.Response],
) -> Handler:
    """Wrap *handler* so that its errors become responses made by *refusal*.

    Rejected descriptions are logged, because many clients do not show the response.
    """
    refusals = RefusalLog(DESCRIPTION)

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await call(request)
        if response.status == web.HTTPBadRequest.status_code:
            reason = response.text if isinstance(response, web.Response) else ""
            path = without_key(request.path)
            refusals.log_refusal(
                context.clock.elapsed(), source=path, path=path, reason=reason or ""
            )
        return response

    async def call(request: web.Request) -> web.StreamResponse:
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
