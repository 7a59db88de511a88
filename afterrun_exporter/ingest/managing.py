"""Who may manage the jobs of a project, and how Healthchecks' API answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.projects import Project, by_api_key
from afterrun_exporter.core.state import JobState
from afterrun_exporter.errors import (
    ConfiguredJobError,
    DescriptionError,
    PingError,
    RequestError,
    UnknownJobError,
)
from afterrun_exporter.ingest import checks
from afterrun_exporter.ingest.bodies import read_body
from afterrun_exporter.ingest.desk import Desk
from afterrun_exporter.ingest.jsontext import read_json

KEY_HEADER: Final = "X-Api-Key"

Act = Callable[["Asked"], Awaitable[web.StreamResponse]]


class Asked:
    """One request of a program that may manage the jobs of a project."""

    def __init__(
        self,
        desk: Desk,
        request: web.Request,
        told: Mapping[str, Any],
        project: Project | None,
    ) -> None:
        self.desk = desk
        self.request = request
        self.told = told
        self.project = project

    def shown(self, job: Job, state: JobState) -> dict[str, Any]:
        """Return the check that stands for a job."""
        version = self.request.match_info["version"]
        base = self.desk.url(self.request)
        links = checks.Links(f"{base}/api/v{version}", f"{base}/ping")
        now = self.desk.clock.now()
        return checks.check_object(job, state, now, links, started=version == "1")

    def is_ours(self, job: Job) -> bool:
        """Return whether the job is one that this program may manage."""
        return self.project is None or job.project == self.project.name

    async def check(self) -> tuple[Job, JobState]:
        """Return the job that the address names.

        Raises UnknownJobError, and HTTPForbidden for one of another project.
        """
        service = self.desk.service
        name = await self.desk.uuids.job(self.request.match_info["uuid"].lower())
        known = service.known(name) if name is not None else None
        if known is None:
            raise UnknownJobError("check not found")
        if not self.is_ours(known[0]):
            raise web.HTTPForbidden(text="the check is in another project")
        return known

    def again(self, name: str, status: int = 200) -> web.Response:
        """Answer with the check as it is now."""
        known = self.desk.service.known(name)
        if known is None:
            raise UnknownJobError("check not found")
        return web.json_response(self.shown(*known), status=status)


def asking(desk: Desk, act: Act) -> Callable[[web.Request], Awaitable[Any]]:
    """Return the handler that has *act* do what is asked by those who may.

    What is refused is told the way the peer tells it.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            told = await _told(desk, request)
            key = request.headers.get(KEY_HEADER) or str(told.get("api_key") or "")
            return await act(Asked(desk, request, told, project_of(desk, key)))
        except (RequestError, DescriptionError, PingError) as error:
            return _refused(400, str(error))
        except UnknownJobError as error:
            return _refused(404, str(error))
        except ConfiguredJobError as error:
            return _refused(409, str(error))
        except web.HTTPException as error:
            return _refused(error.status, error.text or error.reason)

    return handle


async def _told(desk: Desk, request: web.Request) -> Mapping[str, Any]:
    body = await read_body(request, desk.body_limit)
    if request.method != hdrs.METH_POST or not body.strip():
        return {}
    try:
        told = read_json(body)
    except PingError:
        raise RequestError("could not parse request body") from None
    if not isinstance(told, dict):
        raise RequestError(f"{checks.INVALID}value is not an object")
    return told


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


def _refused(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
