"""Listing jobs; pausing, resuming and removing jobs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

from afterrun_exporter.api import response_models
from afterrun_exporter.api.handlers import ApiRequest
from afterrun_exporter.api.request_models import (
    JobsQuery,
    NoQuery,
    Pause,
)
from afterrun_exporter.api.serializers import job_of, recent_figures_of, whole_job_of
from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.job_config import MAX_SUGGESTIONS
from afterrun_exporter.core.job_query import parse_query
from afterrun_exporter.core.last_day import MOST, LastDay, last_day
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.timestamps import END, parse_time
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.engine import job_search
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import RequestError, StorageError, UnknownJobError
from afterrun_exporter.storage.store import Store

#: The number of last runs whose durations count.
DURATIONS: Final = 60


@dataclass(frozen=True, slots=True)
class JobsApi:
    """The handlers of jobs."""

    service: Service
    store: Store
    job_admin: JobAdmin
    clock: Clock

    async def jobs(self, request: ApiRequest[JobsQuery]) -> response_models.Jobs:
        """List matching jobs, a page at a time."""
        query, service = request.query, self.service
        try:
            job_query = parse_query(
                q=query.q or "",
                state=query.state or "",
                label=query.label,
                project=query.project or "",
                tag=query.tag,
            )
        except ValueError as error:
            raise RequestError(str(error)) from None
        page, more = await job_search.page(
            service, job_query, query.limit, query.after or ""
        )
        matches = cooperatively(page)
        jobs = [job_of(*one, service.settings) async for one in matches]
        return response_models.Jobs(
            jobs=jobs,
            next=jobs[-1].name if more else None,
            last_day=recent_figures_of(service.recent_figures),
        )

    async def job(self, request: ApiRequest) -> response_models.WholeJob:
        """Describe one job."""
        return await self._whole(request.job)

    async def pause(
        self, request: ApiRequest[NoQuery, Pause]
    ) -> response_models.WholeJob:
        """Pause a job, for a time or until it is resumed."""
        find_job(self.service, request.job)
        body = request.body
        await self.job_admin.pause(
            request.job,
            _until(body, self.clock.now()),
            lasts=parse_duration(body.lasts) if body.lasts is not None else 0.0,
            resumes_on_ping=body.resume_on_ping,
        )
        return await self._whole(request.job)

    async def disable(self, request: ApiRequest) -> response_models.WholeJob:
        """Pause a job until it is resumed."""
        find_job(self.service, request.job)
        await self.job_admin.pause(request.job)
        return await self._whole(request.job)

    async def resume(self, request: ApiRequest) -> response_models.WholeJob:
        """Resume a job."""
        find_job(self.service, request.job)
        await self.job_admin.resume(request.job)
        return await self._whole(request.job)

    async def remove(self, request: ApiRequest) -> response_models.Nothing:
        """Remove an auto-registered job until it reports again."""
        find_job(self.service, request.job)
        await self.job_admin.retire(request.job)
        return response_models.Nothing()

    async def _whole(self, name: str) -> response_models.WholeJob:
        find_job(self.service, name)
        day = await self._last_day(name)
        job, state = find_job(self.service, name)
        described = self.service.described(name) or job
        return whole_job_of(
            job, state, self.service.settings, day, enabled=described.enabled
        )

    async def _last_day(self, name: str) -> LastDay | None:
        try:
            endings = await self.store.endings([name], MOST)
            runs = await self.store.runs(name, DURATIONS)
        except StorageError:
            # The store has logged it.
            return None
        return last_day(endings.get(name, ()), runs, self.clock.now())


def find_job(service: Service, name: str) -> tuple[Job, JobState]:
    """Return the job *name* with its state; raise UnknownJobError if there is none."""
    if (job_and_state := service.job_and_state(name)) is None:
        raise UnknownJobError(f"unknown job {name[:128]!r}{_suggestion(service, name)}")

    return job_and_state


def _suggestion(service: Service, name: str) -> str:
    # Comparing with many names would take too long.
    few = list(islice(service.names, MAX_SUGGESTIONS + 1))
    hint = did_you_mean(name, few) if len(few) <= MAX_SUGGESTIONS else ""
    return hint or ": `afterrun jobs` and GET /api/v1/jobs list all jobs"


def _until(body: Pause, now: float) -> float | None:
    if body.until is None:
        return None
    if (until := parse_time(body.until)) <= now:
        raise RequestError(f"until: {body.until!r} is in the past: use a future time")
    return min(until, END)
