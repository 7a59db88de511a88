"""The part of Healthchecks' management API that programs use: ``/api/v{1,2,3}/checks/``.

https://healthchecks.io/docs/api/ documents requests and responses. A check is a job:
creating a check describes the job, and deleting it retires the job. Settings in
afterrun.yml take precedence over descriptions from programs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.route_prefix import prefix_of
from afterrun_exporter.core.model import BLAMELESS, Job
from afterrun_exporter.core.names import job_slug, slug_of
from afterrun_exporter.dialects.authorization import is_in_project
from afterrun_exporter.dialects.context import DialectContext, job_name
from afterrun_exporter.dialects.healthchecks import checks
from afterrun_exporter.dialects.healthchecks.management_request import (
    ManagementRequest,
    api_handler,
)
from afterrun_exporter.engine.job_admin import IDENTITY
from afterrun_exporter.errors import (
    JobChangedError,
    PingError,
    RequestError,
    UnknownJobError,
)
from afterrun_exporter.ingest.responses import spaced
from afterrun_exporter.storage.store import AlertFilter

#: The most pings in a list, and the most alerts that flips are derived from.
MOST: Final = 1000

#: The most names of a new check that other replicas choose first.
MOST_ROUNDS: Final = 5
#: The most characters of runs to read.
SIZE: Final = 16_000_000


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the API."""
    actions = {
        endpoints.LIST_CHECKS: list_checks,
        endpoints.CREATE_CHECK: create_check,
        endpoints.GET_CHECK: get_check,
        endpoints.UPDATE_CHECK: update_check,
        endpoints.DELETE_CHECK: delete_check,
        endpoints.PAUSE_CHECK: pause_check,
        endpoints.RESUME_CHECK: resume_check,
        endpoints.LIST_PINGS: list_pings,
        endpoints.GET_PING_BODY: get_ping_body,
        endpoints.LIST_FLIPS: list_flips,
        endpoints.LIST_CHANNELS: list_channels,
        endpoints.LIST_BADGES: list_badges,
    }
    return [
        route
        for endpoint, act in actions.items()
        for route in endpoint.to(api_handler(context, act))
    ]


async def list_checks(api_request: ManagementRequest) -> web.Response:
    """Return the checks that match every `tag` and the `slug` in the query."""
    tags = set(api_request.request.query.getall("tag", ()))
    slug = api_request.request.query.get("slug")
    matches = [
        api_request.check_object(job, state)
        async for job, state in api_request.context.service.each()
        if is_in_project(api_request.project, job)
        and tags <= set(job.tags)
        and slug in {None, job.name, job.name.lower(), job_slug(job)}
    ]
    return spaced({"checks": matches})


async def create_check(api_request: ManagementRequest) -> web.Response:
    """Create a check, or update the one with the same values of `unique`."""
    fields = checks.validated(api_request.payload)
    # Two concurrent requests must not choose the same free name.
    async with api_request.context.creating:
        for _ in range(MOST_ROUNDS):
            try:
                return await _create(api_request, fields)
            except JobChangedError:
                # Another replica has chosen it at the same time.
                await api_request.context.service.catch_up()
        return await _create(api_request, fields)


async def _create(
    api_request: ManagementRequest, fields: Mapping[str, Any]
) -> web.Response:
    if (job := await _existing_job(api_request, fields)) is not None:
        return await _describe_and_respond(api_request, job, fields)
    uuid = str(uuid4())
    title = fields.get("slug") or fields.get("name") or ""
    name = _free_name(api_request, _job_name(title) or uuid)
    description = {
        **checks.description_of({**checks.USUAL, **fields}),
        "ping_uuid": uuid,
    }
    if fields.get("name"):
        description["display_name"] = _display_name(fields["name"], name)
    if api_request.project is not None:
        description["project"] = api_request.project.name
    await api_request.context.job_admin.create(name, description)
    return api_request.respond(name, 201)


async def get_check(api_request: ManagementRequest) -> web.Response:
    """Return one check."""
    return spaced(api_request.check_object(*await api_request.check()))


async def update_check(api_request: ManagementRequest) -> web.Response:
    """Update the given fields of a check; keep the others."""
    fields = checks.validated(api_request.payload)
    job, _ = await api_request.check()
    slug = fields.get("slug")
    if slug and slug not in {job.name, job_slug(job)}:
        raise RequestError(
            f"{checks.INVALID}slug cannot be changed: it is the name of the job"
        )
    return await _describe_and_respond(api_request, job, fields)


async def delete_check(api_request: ManagementRequest) -> web.Response:
    """Retire the job, and return its last check object."""
    job, state = await api_request.check()
    check = api_request.check_object(job, state)
    await api_request.context.job_admin.retire(job.name)
    return spaced(check)


async def pause_check(api_request: ManagementRequest) -> web.Response:
    """Pause the job until its next ping or until resumed."""
    job, _ = await api_request.check()
    await api_request.context.job_admin.pause(job.name, resumes_on_ping=True)
    return api_request.respond(job.name)


async def resume_check(api_request: ManagementRequest) -> web.Response:
    """Resume the job; 409 if it is not paused."""
    job, state = await api_request.check()
    if not state.paused_at:
        raise web.HTTPConflict(text="check is not paused")
    await api_request.context.job_admin.resume(job.name)
    return api_request.respond(job.name)


async def list_pings(api_request: ManagementRequest) -> web.Response:
    """Return the ends of the last runs as pings, the newest first."""
    job, _ = await api_request.check()
    runs = await api_request.context.service.runs(job.name, MOST, size=SIZE)
    request = api_request.request
    url = request.url.with_query(None)
    where = f"{url.origin()}{prefix_of(request)}{url.raw_path}".rstrip("/")
    items = [
        {
            **checks.ping_object(run),
            "body_url": f"{where}/{run.number}/body" if run.message else None,
        }
        for run in runs
    ]
    return spaced({"pings": items})


async def get_ping_body(api_request: ManagementRequest) -> web.Response:
    """Return the message of a run."""
    job, _ = await api_request.check()
    number = int(api_request.request.match_info["number"])
    for run in await api_request.context.service.runs(job.name, MOST, size=SIZE):
        if run.number == number and run.message:
            return web.Response(text=run.message)
    raise UnknownJobError("ping not found")


async def list_flips(api_request: ManagementRequest) -> web.Response:
    """Return the changes of the check to down and up, the newest first."""
    job, _ = await api_request.check()
    query = api_request.request.query
    since, until = _seconds(query, "start", 0), _seconds(query, "end", math.inf)
    if "seconds" in query:
        since = api_request.context.clock.now() - _seconds(query, "seconds", 0)
    alerts = await api_request.context.service.alerts(
        AlertFilter(job=job.name, limit=MOST)
    )
    spans = [
        (one.opened_at, one.resolved_at)
        for one in alerts
        if one.key.condition not in BLAMELESS
    ]
    return spaced(checks.flips(spans, since, until))


async def list_channels(_: ManagementRequest) -> web.Response:
    """Return no channels: Alertmanager sends the notifications."""
    return spaced({"channels": []})


async def list_badges(_: ManagementRequest) -> web.Response:
    """Return no badges: tags have none, and those of jobs are at ``/badge/JOB.svg``."""
    return spaced({"badges": {}})


async def _describe_and_respond(
    api_request: ManagementRequest, job: Job, fields: Mapping[str, Any]
) -> web.Response:
    """Update the description of the job, and return the check."""
    if not job.configured:
        description = checks.updated_description(
            api_request.context.job_admin.description(job.name), fields
        )
        if name := fields.get("name"):
            description["display_name"] = _display_name(name, job.name)
        await api_request.context.job_admin.describe(job.name, description)
    # A job in afterrun.yml is described by that file alone.
    return api_request.respond(job.name)


async def _existing_job(
    api_request: ManagementRequest, fields: Mapping[str, Any]
) -> Job | None:
    """Return the job that already exists for a new check; None if there is none.

    That is a job with the same values in all of `unique`. Without `unique` it is the
    job of that name, if it has no description from a program or an equal one: a
    program that creates its check at each start gets the same job.
    """
    unique = set(fields.get("unique", ()))
    if any(name not in fields for name in unique):
        return None
    by = unique & {"name", "slug"}
    if not unique:
        by = {"slug"} if fields.get("slug") else {"name"} & fields.keys()
    if by or not unique:
        candidates: Iterable[Job] = _candidates(api_request, fields, by)
    else:
        candidates = [job async for job, _ in api_request.context.service.each()]
    for job in candidates:
        if is_in_project(api_request.project, job) and (
            checks.is_alike(job, fields, unique - by)
            if unique
            else job.configured or _is_same(api_request, job, fields)
        ):
            return job
    return None


def _candidates(
    api_request: ManagementRequest, fields: Mapping[str, Any], by: set[str]
) -> Iterator[Job]:
    """Yield the jobs that match a check *by* name or slug."""
    service = api_request.context.service
    if "slug" in by and (slug := fields["slug"]):
        if (job := service.job(_job_name(slug))) is not None:
            yield job
        yield from service.called("slug", slug)
    if "name" in by and (name := fields["name"]):
        yield from service.called("name", name)
        # A job may have been registered under the slug of the check's name.
        for plain in filter(None, (name, slug_of(name))):
            job = service.job(_job_name(plain))
            if job is not None and (job.configured or not job.display_name):
                yield job


def _is_same(
    api_request: ManagementRequest, job: Job, fields: Mapping[str, Any]
) -> bool:
    """Return True if *job* has no description, or the same as this check."""
    current = api_request.context.job_admin.description(job.name)
    for key in IDENTITY:
        current.pop(key, None)
    return current in ({}, checks.description_of({**checks.USUAL, **fields}))


def _display_name(name: str, job: str) -> str:
    """Return the display name for a check; "" if it equals the name of the job."""
    return "" if name == job and slug_of(name) in {"", job} else name


def _job_name(text: str) -> str:
    """Return the job name for a check of this name or slug; "" if there is none."""
    try:
        return job_name(text)
    except PingError:
        return ""


def _free_name(api_request: ManagementRequest, name: str) -> str:
    """Return *name*, with a number if a job has it: checks may share a name."""
    is_known, number, free = api_request.context.is_known, 2, name
    while is_known(free):
        free, number = f"{name[:120]}-{number}", number + 1
    return free


def _seconds(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        raise RequestError(f"invalid {name}: use a number of seconds")
    return float(text)
