"""One request to Healthchecks' management API, and who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter.core.deadlines import next_slot
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.projects import Project
from afterrun_exporter.core.state import JobState
from afterrun_exporter.dialects.authorization import check_is_of, project_of, telling
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.dialects.healthchecks import checks
from afterrun_exporter.errors import PingError, RequestError, UnknownJobError
from afterrun_exporter.ingest.bodies import parsed, read_body
from afterrun_exporter.ingest.json_text import read_json
from afterrun_exporter.ingest.responses import spaced

KEY_HEADER: Final = "X-Api-Key"


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """One request of a program that may manage the jobs of a project."""

    context: DialectContext
    request: web.Request
    told: Mapping[str, Any]
    #: None where it may manage every job.
    project: Project | None
    links: checks.Links

    def shown(self, job: Job, state: JobState) -> dict[str, Any]:
        """Return the check that stands for a job."""
        now = self.context.clock.now()
        started = self.request.match_info["version"] == "1"
        due = next_slot(job, state, self.context.service.settings)
        return checks.check_object(job, state, now, due, self.links, started=started)

    async def check(self) -> tuple[Job, JobState]:
        """Return the job that the address names.

        Raises UnknownJobError, and HTTPForbidden for one of another project.
        """
        service = self.context.service
        name = await self.context.uuid_index.job(
            self.request.match_info["uuid"].lower()
        )
        known = service.known(name) if name is not None else None
        if known is None:
            raise UnknownJobError("check not found")
        check_is_of(self.project, known[0])
        return known

    def again(self, name: str, status: int = 200) -> web.Response:
        """Answer with the check as it is now."""
        known = self.context.service.known(name)
        if known is None:
            raise UnknownJobError("check not found")
        return spaced(self.shown(*known), status)


Act = Callable[[ManagementRequest], Awaitable[web.StreamResponse]]


def asking(context: DialectContext, act: Act) -> Handler:
    """Return the handler that has *act* do what is asked by those who may."""

    async def handle(request: web.Request) -> web.StreamResponse:
        told = await _told(context, request)
        key = request.headers.get(KEY_HEADER) or str(told.get("api_key") or "")
        project = project_of(context, request, key)
        version = request.match_info["version"]
        # Before anything is done: a request may name a host that is none.
        base = context.url(request)
        links = checks.Links(f"{base}/api/v{version}", f"{base}/ping")
        return await act(ManagementRequest(context, request, told, project, links))

    return telling(context, handle, _refusal)


async def _told(context: DialectContext, request: web.Request) -> Mapping[str, Any]:
    body = await read_body(request, context.body_limit)
    if request.method != hdrs.METH_POST or not body.strip():
        return {}
    try:
        told = await parsed(len(body), lambda: read_json(body))
    except PingError:
        raise RequestError("could not parse request body") from None
    if not isinstance(told, dict):
        raise RequestError(f"{checks.INVALID}value is not an object")
    return told


def _refusal(status: int, text: str) -> web.Response:
    return spaced({"error": text}, status)
