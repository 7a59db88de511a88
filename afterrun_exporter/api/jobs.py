"""Jobs and their runs, to be read; jobs to be paused, resumed and removed."""

from __future__ import annotations

from itertools import islice

from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.api.handlers import Act, ApiRequest
from afterrun_exporter.api.serializers import job_of, run_of, whole_job_of
from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.did_you_mean import near
from afterrun_exporter.core.job_config import MAX_SUGGESTIONS
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.timestamps import END, parse_time
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.engine import job_search
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import RequestError, UnknownJobError
from afterrun_exporter.storage.store import Store


def jobs(
    service: Service,
) -> Act[request_models.JobsQuery, request_models.NoBody, response_models.Jobs]:
    """Return what answers with the jobs that are asked for, a page at a time."""

    async def act(
        asked: ApiRequest[request_models.JobsQuery, request_models.NoBody],
    ) -> response_models.Jobs:
        query = asked.query
        page, more = await job_search.page(
            service, wanted(query), query.limit, query.after or ""
        )
        found = cooperatively(page)
        told = [job_of(*one, service.settings) async for one in found]
        return response_models.Jobs(jobs=told, next=told[-1].name if more else None)

    return act


def wanted(query: request_models.JobsQuery) -> job_search.JobFilter:
    """Return which jobs *query* asks for."""
    pairs = (label.partition(":") for label in query.label)
    return job_search.JobFilter(
        state=query.state,
        unobserved=None if query.unobserved is None else query.unobserved == "true",
        labels=tuple((key, value) for key, _, value in pairs),
        project=query.project,
        tags=query.tag,
        part=query.q or "",
    )


def job(
    service: Service,
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.WholeJob]:
    """Return what answers with one job."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.WholeJob:
        return _whole(service, asked.job)

    return act


def runs(
    service: Service, store: Store
) -> Act[request_models.RunsQuery, request_models.NoBody, response_models.Runs]:
    """Return what answers with the runs of a job, a page at a time."""

    async def act(
        asked: ApiRequest[request_models.RunsQuery, request_models.NoBody],
    ) -> response_models.Runs:
        found, _ = known(service, asked.job)
        limit = asked.query.limit
        last = await store.runs(found.name, limit + 1, asked.query.before)
        page = cooperatively(last[:limit])
        told = [run_of(run) async for run in page]
        following = told[-1].number if len(last) > limit else None
        return response_models.Runs(job=found.name, runs=told, next=following)

    return act


def pause(
    service: Service, job_admin: JobAdmin, clock: Clock
) -> Act[request_models.NoQuery, request_models.Pause, response_models.WholeJob]:
    """Return what pauses a job, for a while or until it is resumed."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.Pause],
    ) -> response_models.WholeJob:
        known(service, asked.job)
        until = _until(asked.body, clock.now())
        on_ping = asked.body.resume_on_ping
        await job_admin.pause(asked.job, until, resumes_on_ping=on_ping)
        return _whole(service, asked.job)

    return act


def resume(
    service: Service, job_admin: JobAdmin
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.WholeJob]:
    """Return what resumes a job."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.WholeJob:
        known(service, asked.job)
        await job_admin.resume(asked.job)
        return _whole(service, asked.job)

    return act


def remove(
    service: Service, job_admin: JobAdmin
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.Nothing]:
    """Return what has a job watched no more, until it reports again."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.Nothing:
        known(service, asked.job)
        await job_admin.retire(asked.job)
        return response_models.Nothing()

    return act


def known(service: Service, name: str) -> tuple[Job, JobState]:
    """Return the job *name* with its state; raise UnknownJobError for any other."""
    if (found := service.known(name)) is None:
        raise UnknownJobError(f"unknown job {name[:128]!r}{_suggestion(service, name)}")
    return found


def _whole(service: Service, name: str) -> response_models.WholeJob:
    job, state = known(service, name)
    described = service.decisions.job_registry.described(name) or job
    return whole_job_of(job, state, service.settings, enabled=described.enabled)


def _suggestion(service: Service, name: str) -> str:
    # Among many names a near miss is looked for too long.
    few = list(islice(service.names, MAX_SUGGESTIONS + 1))
    if len(few) <= MAX_SUGGESTIONS and (meant := near(name, few)):
        return f"; did you mean {meant!r}?"
    return ": `afterrun jobs` or GET /api/v1/jobs lists those there are"


def _until(body: request_models.Pause, now: float) -> float | None:
    if body.lasts is not None:
        return now + parse_duration(body.lasts)
    if body.until is None:
        return None
    if (until := parse_time(body.until)) <= now:
        raise RequestError(f"until: {body.until!r} is past: name a time to come")
    return min(until, END)
