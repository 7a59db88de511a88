"""The part of Cronitor's monitor API that its clients use: ``/api/monitors``.

A monitor is a job: putting a monitor describes the job. Settings in afterrun.yml take
precedence over descriptions from clients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.credentials import authorization
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.projects import Project
from afterrun_exporter.core.state import JobState
from afterrun_exporter.dialects.authorization import (
    check_in_project,
    project_of,
    with_error_responses,
)
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.dialects.cronitor.monitors import (
    Monitor,
    monitor_object,
    monitor_of,
)
from afterrun_exporter.errors import ConfiguredJobError, PingError, UnknownJobError
from afterrun_exporter.ingest.bodies import parsed, read_body
from afterrun_exporter.ingest.json_text import read_json
from afterrun_exporter.ingest.responses import compact

#: The most monitors in one request.
MAX_MONITORS: Final = 1_000
#: A longer pause lasts until the job is resumed.
MOST_HOURS: Final = 100_000

Act = Callable[
    [DialectContext, web.Request, Project | None], Awaitable[web.StreamResponse]
]


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the API."""
    return [
        *endpoints.PUT_MONITORS.to(_handler(context, put_monitors)),
        *endpoints.GET_MONITOR.to(_handler(context, get_monitor)),
        *endpoints.DELETE_MONITOR.to(_handler(context, delete_monitor)),
        *endpoints.PAUSE_MONITOR.to(_handler(context, pause_monitor)),
    ]


async def put_monitors(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Create or change monitors: all of them, or none if one is invalid."""
    body = await read_body(request, context.body_limit)
    items, rollback = await parsed(len(body), lambda: _monitors(body))
    if len(items) > MAX_MONITORS:
        raise PingError(f"{len(items)} monitors: put at most {MAX_MONITORS} at once")
    monitors, problems = await _read(context, items, project)
    described, unusable = {}, {}
    async for name, monitor in cooperatively(monitors.items()):
        if project is not None:
            monitor.description["project"] = project.name
        if (job := context.service.job(name)) is not None:
            check_in_project(project, job)
        try:
            description, unusable[name] = context.job_admin.usable(
                name, monitor.description
            )
            described[name] = description
        except ConfiguredJobError as error:
            monitor.warnings.append(str(error))
            continue
        if why := unusable[name].why:
            monitor.warnings.append(f"cannot be used: {why}")
    if problems:
        return compact({"errors": problems}, 400)
    if not rollback:
        await context.job_admin.describe_all(described, unusable)
    return compact(
        {
            "monitors": [
                _put(context, name, monitor) for name, monitor in monitors.items()
            ]
        }
    )


def _put(context: DialectContext, name: str, monitor: Monitor) -> dict[str, Any]:
    entry = context.service.job_and_state(name)
    key = monitor.key
    monitor_fields = monitor_object(*entry, key) if entry is not None else {"key": key}
    return {**monitor_fields, "warnings": monitor.warnings}


async def get_monitor(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Return one monitor."""
    return compact(_monitor_of_request(context, request, project))


async def delete_monitor(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Retire the job."""
    job, _ = _find_monitor(context, request, project)
    await context.job_admin.retire(job.name)
    return web.Response(status=204)


async def pause_monitor(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Pause the job for a number of hours or until resumed; 0 hours resumes it."""
    job, _ = _find_monitor(context, request, project)
    hours = int(request.match_info.get("hours", MOST_HOURS))
    if hours == 0:
        await context.job_admin.resume(job.name)
    else:
        lasts = hours * 3600.0 if hours < MOST_HOURS else 0.0
        await context.job_admin.pause(job.name, lasts=lasts)
    return compact(_monitor_of_request(context, request, project))


def _handler(context: DialectContext, act: Act) -> Handler:
    """Return a handler that authorizes the request and calls *act*."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await act(context, request, project_of(context, request, _key(request)))

    return with_error_responses(context, handle, _refusal)


def _key(request: web.Request) -> str:
    """Return the API key, which clients send as the user of Basic authentication."""
    user = authorization(request.headers.get(hdrs.AUTHORIZATION, "")).user
    return user[0] if user else ""


def _monitors(body: bytes) -> tuple[list[Any], bool]:
    """Return the monitors of a request, and True if it is only a dry run."""
    payload = read_json(body)
    rollback = isinstance(payload, Mapping) and payload.get("rollback") is True
    if isinstance(payload, Mapping):
        payload = payload.get("monitors", payload)
    return payload if isinstance(payload, list) else [payload], rollback


async def _read(
    context: DialectContext, items: list[Any], project: Project | None
) -> tuple[dict[str, Monitor], list[str]]:
    """Return the valid monitors by job, and the problems of the others."""
    monitors: dict[str, Monitor] = {}
    problems: list[str] = []
    async for place, one in cooperatively(enumerate(items)):
        key = one.get("key") if isinstance(one, Mapping) else None
        if not isinstance(key, str):
            problems.append(f"monitors[{place}] has no key: give it one")
            continue
        try:
            name = context.job_called(key, project)
            if name in monitors:
                problems.append(f"{key[:128]}: is the job {name!r} as another one is")
            monitors[name] = monitor_of(one)
            monitors[name].key = key
        except (PingError, ValueError) as error:
            problems.append(f"{key[:128]}: {error}")
    return monitors, problems


def _monitor_of_request(
    context: DialectContext, request: web.Request, project: Project | None
) -> dict[str, Any]:
    entry = _find_monitor(context, request, project)
    return monitor_object(*entry, request.match_info["job"])


def _find_monitor(
    context: DialectContext, request: web.Request, project: Project | None
) -> tuple[Job, JobState]:
    name = context.job_called(request.match_info["job"], project)
    if (entry := context.service.job_and_state(name)) is None:
        raise UnknownJobError(context.service.job_config.unknown_job(name))
    check_in_project(project, entry[0])
    return entry


def _refusal(status: int, text: str) -> web.Response:
    return compact({"errors": [text]}, status)
