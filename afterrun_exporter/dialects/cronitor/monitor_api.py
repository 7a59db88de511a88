"""Cronitor's monitor API, as far as its clients use it: ``/api/monitors``.

A monitor is a job here: who puts one describes it. What afterrun.yml says of a job
counts for more than what a program says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth.credentials import authorization
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.projects import Project
from afterrun_exporter.core.state import JobState
from afterrun_exporter.dialects.authorization import check_is_of, project_of, telling
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.dialects.cronitor.monitors import (
    Monitor,
    monitor_object,
    monitor_of,
)
from afterrun_exporter.errors import (
    ConfiguredJobError,
    PingError,
    UnknownJobError,
)
from afterrun_exporter.ingest.bodies import parsed, read_body
from afterrun_exporter.ingest.json_text import read_json
from afterrun_exporter.ingest.responses import compact

PATH: Final = "/api/monitors"
#: Monitors of one request.
MAX_MONITORS: Final = 1_000
#: A pause that is longer is one until somebody resumes the job.
MOST_HOURS: Final = 100_000

Act = Callable[
    [DialectContext, web.Request, Project | None], Awaitable[web.StreamResponse]
]


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the API."""
    one = f"{PATH}/{{job}}"
    pause = _handler(context, paused)
    return [
        web.put(PATH, _handler(context, put)),
        web.get(one, _handler(context, shown), allow_head=False),
        web.delete(one, _handler(context, deleted)),
        # Their clients pause with a GET; a HEAD is not to.
        web.get(f"{one}/pause", pause, allow_head=False),
        web.get(rf"{one}/pause/{{hours:\d{{1,9}}}}", pause, allow_head=False),
    ]


async def put(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Create or change monitors: all of them, or none where one cannot be."""
    body = await read_body(request, context.body_limit)
    told, rollback = await parsed(len(body), lambda: _monitors(body))
    if len(told) > MAX_MONITORS:
        raise PingError(f"{len(told)} monitors: put at most {MAX_MONITORS} at once")
    found, problems = await _read(context, told, project)
    described, unusable = {}, {}
    async for name, monitor in cooperatively(found.items()):
        if project is not None:
            monitor.words["project"] = project.name
        if (job := context.service.job(name)) is not None:
            check_is_of(project, job)
        try:
            words, unusable[name] = context.job_admin.usable(name, monitor.words)
            described[name] = words
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
        {"monitors": [_put(context, name, monitor) for name, monitor in found.items()]}
    )


def _put(context: DialectContext, name: str, monitor: Monitor) -> dict[str, Any]:
    known = context.service.known(name)
    key = monitor.key
    shown = monitor_object(*known, key) if known is not None else {"key": key}
    return {**shown, "warnings": monitor.warnings}


async def shown(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Answer with one monitor."""
    return compact(_shown(context, request, project))


async def deleted(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Retire the job."""
    job, _ = _known(context, request, project)
    await context.job_admin.retire(job.name)
    return web.Response(status=204)


async def paused(
    context: DialectContext, request: web.Request, project: Project | None
) -> web.Response:
    """Pause the job for so many hours, until it is resumed, or resume it: 0 hours."""
    job, _ = _known(context, request, project)
    hours = int(request.match_info.get("hours", MOST_HOURS))
    if hours == 0:
        await context.job_admin.resume(job.name)
    else:
        lasts = hours * 3600.0 if hours < MOST_HOURS else 0.0
        await context.job_admin.pause(job.name, lasts=lasts)
    return compact(_shown(context, request, project))


def _handler(context: DialectContext, act: Act) -> Handler:
    """Return the handler that has *act* do what is asked by those who may."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await act(context, request, project_of(context, request, _key(request)))

    return telling(context, handle, _refusal)


def _key(request: web.Request) -> str:
    """Return the API key: the user of Basic authorization."""
    user = authorization(request.headers.get(hdrs.AUTHORIZATION, "")).user
    return user[0] if user else ""


def _monitors(body: bytes) -> tuple[list[Any], bool]:
    """Return what is told of monitors, and whether it is only to be tried."""
    told = read_json(body)
    rollback = isinstance(told, Mapping) and told.get("rollback") is True
    if isinstance(told, Mapping):
        told = told.get("monitors", told)
    return told if isinstance(told, list) else [told], rollback


async def _read(
    context: DialectContext, told: list[Any], project: Project | None
) -> tuple[dict[str, Monitor], list[str]]:
    """Return the monitors by their jobs, and what is wrong with the others."""
    found: dict[str, Monitor] = {}
    problems: list[str] = []
    async for place, one in cooperatively(enumerate(told)):
        key = one.get("key") if isinstance(one, Mapping) else None
        if not isinstance(key, str):
            problems.append(f"monitors[{place}] has no key: give it one")
            continue
        try:
            name = context.job_called(key, project)
            if name in found:
                problems.append(f"{key[:128]}: is the job {name!r} as another one is")
            found[name] = monitor_of(one)
            found[name].key = key
        except (PingError, ValueError) as error:
            problems.append(f"{key[:128]}: {error}")
    return found, problems


def _shown(
    context: DialectContext, request: web.Request, project: Project | None
) -> dict[str, Any]:
    known = _known(context, request, project)
    return monitor_object(*known, request.match_info["job"])


def _known(
    context: DialectContext, request: web.Request, project: Project | None
) -> tuple[Job, JobState]:
    name = context.job_called(request.match_info["job"], project)
    if (known := context.service.known(name)) is None:
        raise UnknownJobError(context.service.job_config.unknown_job(name))
    check_is_of(project, known[0])
    return known


def _refusal(status: int, text: str) -> web.Response:
    return compact({"errors": [text]}, status)
