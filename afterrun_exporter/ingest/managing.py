"""Who may manage the jobs of a project, and what is refused, in whatever dialect."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.projects import Project, by_api_key
from afterrun_exporter.errors import (
    ConfiguredJobError,
    DescriptionError,
    PingError,
    RequestError,
    UnknownJobError,
)
from afterrun_exporter.ingest.desk import Desk


def project_of(desk: Desk, key: str) -> Project | None:
    """Return the project that *key* opens; None where no project has an API key.

    Raises HTTPUnauthorized.
    """
    projects = [one for one in desk.service.catalogue.projects if one.api_key]
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


def telling(handler: Handler, refusal: Callable[[int, str], web.Response]) -> Handler:
    """Return *handler*, with what it refuses told by a *refusal*: status and reason."""

    async def handle(request: web.Request) -> web.StreamResponse:
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
