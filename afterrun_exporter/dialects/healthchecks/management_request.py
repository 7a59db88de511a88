"""A request to Healthchecks' management API, authorized and parsed."""

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
from afterrun_exporter.dialects.authorization import (
    check_in_project,
    project_of,
    with_error_responses,
)
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.dialects.healthchecks import checks
from afterrun_exporter.errors import PingError, RequestError, UnknownJobError
from afterrun_exporter.ingest.bodies import parsed, read_body
from afterrun_exporter.ingest.json_text import read_json
from afterrun_exporter.ingest.responses import spaced

KEY_HEADER: Final = "X-Api-Key"


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """A request from a client that may manage the jobs of a project."""

    context: DialectContext
    request: web.Request
    payload: Mapping[str, Any]
    #: None if the client may manage every job.
    project: Project | None
    links: checks.Links

    def check_object(self, job: Job, state: JobState) -> dict[str, Any]:
        """Return the check object for a job."""
        now = self.context.clock.now()
        started_status = self.request.match_info["version"] == "1"
        due = next_slot(job, state, self.context.service.settings)
        return checks.check_object(
            job, state, now, due, self.links, started_status=started_status
        )

    async def check(self) -> tuple[Job, JobState]:
        """Return the job named by the address.

        Raises UnknownJobError, and HTTPForbidden for a job of another project.
        """
        service = self.context.service
        name = await self.context.uuid_index.job(
            self.request.match_info["uuid"].lower()
        )
        entry = service.job_and_state(name) if name is not None else None
        if entry is None:
            raise UnknownJobError("check not found")
        check_in_project(self.project, entry[0])
        return entry

    def respond(self, name: str, status: int = 200) -> web.Response:
        """Return a response with the current check object."""
        entry = self.context.service.job_and_state(name)
        if entry is None:
            raise UnknownJobError("check not found")
        return spaced(self.check_object(*entry), status)


Act = Callable[[ManagementRequest], Awaitable[web.StreamResponse]]


def api_handler(context: DialectContext, act: Act) -> Handler:
    """Return a handler that authorizes the request and calls *act*."""

    async def handle(request: web.Request) -> web.StreamResponse:
        payload = await _read_payload(context, request)
        key = request.headers.get(KEY_HEADER) or str(payload.get("api_key") or "")
        project = project_of(context, request, key)
        version = request.match_info["version"]
        # Raises for an invalid Host header before anything is changed.
        base = context.url(request)
        links = checks.Links(f"{base}/api/v{version}", f"{base}/ping")
        return await act(ManagementRequest(context, request, payload, project, links))

    return with_error_responses(context, handle, _refusal)


async def _read_payload(
    context: DialectContext, request: web.Request
) -> Mapping[str, Any]:
    body = await read_body(request, context.body_limit)
    if request.method != hdrs.METH_POST or not body.strip():
        return {}
    try:
        payload = await parsed(len(body), lambda: read_json(body))
    except PingError:
        raise RequestError("could not parse request body") from None
    if not isinstance(payload, dict):
        raise RequestError(f"{checks.INVALID}value is not an object")
    return payload


def _refusal(status: int, text: str) -> web.Response:
    return spaced({"error": text}, status)
