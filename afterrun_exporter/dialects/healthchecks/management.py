"""Healthchecks' management API, as far as programs use it: ``/api/v{1,2,3}/checks/``.

https://healthchecks.io/docs/api/ has the requests and the answers. A check is a job
here: who creates one describes it, and who deletes it retires it. What afterrun.yml
says of a job counts for more than what a program says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import uuid4

from aiohttp import hdrs, web

from afterrun_exporter.core.model import BLAMELESS, Job
from afterrun_exporter.core.names import job_slug, slug_of
from afterrun_exporter.dialects.authorization import is_of
from afterrun_exporter.dialects.context import DialectContext, job_name
from afterrun_exporter.dialects.healthchecks import checks
from afterrun_exporter.dialects.healthchecks.management_request import (
    ManagementRequest,
    asking,
)
from afterrun_exporter.engine.job_admin import IDENTITY
from afterrun_exporter.errors import PingError, RequestError, UnknownJobError
from afterrun_exporter.ingest.responses import spaced
from afterrun_exporter.storage.store import AlertFilter

#: Pings that are listed at most, and flips that are looked for.
MOST: Final = 1000

#: The path of the API; version 3 is the newest.
API: Final = r"/api/v{version:[123]}"


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of the API."""
    one = f"{API}/checks/{{uuid:[0-9a-fA-F-]{{36}}}}"
    asked = {
        (hdrs.METH_GET, f"{API}/checks/"): listed,
        (hdrs.METH_POST, f"{API}/checks/"): created,
        (hdrs.METH_GET, one): shown,
        (hdrs.METH_POST, one): updated,
        (hdrs.METH_DELETE, one): deleted,
        (hdrs.METH_POST, f"{one}/pause"): paused,
        (hdrs.METH_POST, f"{one}/resume"): resumed,
        (hdrs.METH_GET, f"{one}/pings/"): pings,
        (hdrs.METH_GET, f"{one}/pings/{{number:[0-9]{{1,9}}}}/body"): ping_body,
        (hdrs.METH_GET, f"{one}/flips/"): flips,
        (hdrs.METH_GET, f"{API}/channels/"): channels,
        (hdrs.METH_GET, f"{API}/badges/"): badges,
    }
    handlers = [(*where, asking(context, act)) for where, act in asked.items()]
    return [
        web.route(method, f"{path.rstrip('/')}{{slash:/?}}", handle)
        for method, path, handle in handlers
    ]


async def listed(asked: ManagementRequest) -> web.Response:
    """Answer with the checks that have every `tag`, and the `slug`, that is asked for."""
    wanted = set(asked.request.query.getall("tag", ()))
    slug = asked.request.query.get("slug")
    found = [
        asked.shown(job, state)
        async for job, state in asked.context.service.each()
        if is_of(asked.project, job)
        and wanted <= set(job.tags)
        and slug in {None, job.name, job.name.lower(), job_slug(job)}
    ]
    return spaced({"checks": found})


async def created(asked: ManagementRequest) -> web.Response:
    """Create a check, or update the one that is alike in all of `unique`."""
    told = checks.checked(asked.told)
    # Two programs at once are not to find the same name free.
    async with asked.context.creating:
        return await _created(asked, told)


async def _created(asked: ManagementRequest, told: Mapping[str, Any]) -> web.Response:
    if (job := await _alike(asked, told)) is not None:
        return await _described(asked, job, told)
    uuid = str(uuid4())
    wanted = told.get("slug") or told.get("name") or ""
    name = _unused(asked, _job_name(wanted) or uuid)
    words = {**checks.words_of({**checks.USUAL, **told}), "ping_uuid": uuid}
    if told.get("name"):
        words["display_name"] = _display_name(told["name"], name)
    if asked.project is not None:
        words["project"] = asked.project.name
    await asked.context.job_admin.describe(name, words)
    return asked.again(name, 201)


async def shown(asked: ManagementRequest) -> web.Response:
    """Answer with one check."""
    return spaced(asked.shown(*await asked.check()))


async def updated(asked: ManagementRequest) -> web.Response:
    """Change what a check is told; the rest of it stays."""
    told = checks.checked(asked.told)
    job, _ = await asked.check()
    slug = told.get("slug")
    if slug and slug not in {job.name, job_slug(job)}:
        raise RequestError(f"{checks.INVALID}slug cannot be changed: it is the job's")
    return await _described(asked, job, told)


async def deleted(asked: ManagementRequest) -> web.Response:
    """Retire the job, and answer with the check that it was."""
    job, state = await asked.check()
    was = asked.shown(job, state)
    await asked.context.job_admin.retire(job.name)
    return spaced(was)


async def paused(asked: ManagementRequest) -> web.Response:
    """Pause the job until it pings, or is resumed."""
    job, _ = await asked.check()
    await asked.context.job_admin.pause(job.name, resumes_on_ping=True)
    return asked.again(job.name)


async def resumed(asked: ManagementRequest) -> web.Response:
    """Resume the job; 409 when it is not paused."""
    job, state = await asked.check()
    if not state.paused_at:
        raise web.HTTPConflict(text="check is not paused")
    await asked.context.job_admin.resume(job.name)
    return asked.again(job.name)


async def pings(asked: ManagementRequest) -> web.Response:
    """Answer with the ends of the last runs, the newest first."""
    job, _ = await asked.check()
    runs = await asked.context.service.runs(job.name, MOST)
    where = str(asked.request.url.with_query(None)).rstrip("/")
    told = [
        {
            **checks.ping_object(run),
            "body_url": f"{where}/{run.number}/body" if run.message else None,
        }
        for run in runs
    ]
    return spaced({"pings": told})


async def ping_body(asked: ManagementRequest) -> web.Response:
    """Answer with what a run said at its end."""
    job, _ = await asked.check()
    number = int(asked.request.match_info["number"])
    for run in await asked.context.service.runs(job.name, MOST):
        if run.number == number and run.message:
            return web.Response(text=run.message)
    raise UnknownJobError("ping not found")


async def flips(asked: ManagementRequest) -> web.Response:
    """Answer with when the check went down and up, the newest first."""
    job, _ = await asked.check()
    query = asked.request.query
    since, until = _seconds(query, "start", 0), _seconds(query, "end", math.inf)
    if "seconds" in query:
        since = asked.context.clock.now() - _seconds(query, "seconds", 0)
    recorded = await asked.context.service.alerts(AlertFilter(job=job.name, limit=MOST))
    spans = [
        (one.opened_at, one.resolved_at)
        for one in recorded
        if one.key.condition not in BLAMELESS
    ]
    return spaced(checks.flips(spans, since, until))


async def channels(_: ManagementRequest) -> web.Response:
    """Answer that nobody is told from here: Alertmanager does that."""
    return spaced({"channels": []})


async def badges(_: ManagementRequest) -> web.Response:
    """Answer that tags have no badges; a job's is at ``/badge/JOB.svg``."""
    return spaced({"badges": {}})


async def _described(
    asked: ManagementRequest, job: Job, told: Mapping[str, Any]
) -> web.Response:
    """Change what a check is told; answer with it."""
    if not job.configured:
        words = checks.changed(asked.context.job_admin.words(job.name), told)
        if name := told.get("name"):
            words["display_name"] = _display_name(name, job.name)
        await asked.context.job_admin.describe(job.name, words)
    # Of one that is in afterrun.yml the file's words count, whoever asks.
    return asked.again(job.name)


async def _alike(asked: ManagementRequest, told: Mapping[str, Any]) -> Job | None:
    """Return the job that a new check already is; None where it is another one.

    That is one which is alike in all of `unique`. Without `unique` it is the job of
    that name which no program has described yet, or has described in the same way: a
    program that creates its check at each start gets the same one.
    """
    unique = set(told.get("unique", ()))
    if any(name not in told for name in unique):
        return None
    by = unique & {"name", "slug"}
    if not unique:
        by = {"slug"} if told.get("slug") else {"name"} & told.keys()
    if by or not unique:
        found: Iterable[Job] = _called(asked, told, by)
    else:
        found = [job async for job, _ in asked.context.service.each()]
    for job in found:
        if is_of(asked.project, job) and (
            checks.is_alike(job, told, unique - by)
            if unique
            else job.configured or _is_same(asked, job, told)
        ):
            return job
    return None


def _called(
    asked: ManagementRequest, told: Mapping[str, Any], by: set[str]
) -> Iterator[Job]:
    """Yield the jobs that a check may be, looked up *by* its name or slug."""
    service = asked.context.service
    if "slug" in by and (slug := told["slug"]):
        if (job := service.job(_job_name(slug))) is not None:
            yield job
        yield from service.called("slug", slug)
    if "name" in by and (name := told["name"]):
        yield from service.called("name", name)
        # Checks were once called by the slug of their name, and pings may be.
        for plain in filter(None, (name, slug_of(name))):
            job = service.job(_job_name(plain))
            if job is not None and (job.configured or not job.display_name):
                yield job


def _is_same(asked: ManagementRequest, job: Job, told: Mapping[str, Any]) -> bool:
    """Return True if *job* is described in no other way than *told*."""
    known = asked.context.job_admin.words(job.name)
    words = checks.words_of({**checks.USUAL, **told})
    described = {**known}
    for word in IDENTITY:
        described.pop(word, None)
    return described in ({}, words)


def _display_name(name: str, job: str) -> str:
    """Return what is kept of the *name* of a check; "" where the *job*'s is enough."""
    return "" if name == job and slug_of(name) in {"", job} else name


def _job_name(text: str) -> str:
    """Return the job that a check of this name or slug is; "" where none can be."""
    try:
        return job_name(text)
    except PingError:
        return ""


def _unused(asked: ManagementRequest, name: str) -> str:
    """Return *name*, or one like it that no job has: several checks may share theirs."""
    known, number, free = asked.context.is_known, 2, name
    while known(free):
        free, number = f"{name[:120]}-{number}", number + 1
    return free


def _seconds(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        raise RequestError(f"invalid {name}: use a number of seconds")
    return float(text)
