"""Listing finished and open runs."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.api import response_models
from afterrun_exporter.api.handlers import ApiRequest, EncodedPage
from afterrun_exporter.api.jobs import find_job
from afterrun_exporter.api.request_models import AllRunsQuery, OpenRunsQuery, RunsQuery
from afterrun_exporter.api.serializers import open_run_of, recorded_run_of, run_of
from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.timestamps import instant
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import RunFilter, Store

#: Characters of texts of a page of runs. Most pages have far less; with more, a page is
#: shorter than its limit.
SIZE: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class RunsApi:
    """The handlers of runs."""

    service: Service
    store: Store
    clock: Clock

    async def of_job(self, request: ApiRequest[RunsQuery]) -> EncodedPage:
        """List the runs of a job, a page at a time."""
        job, _ = find_job(self.service, request.job)
        limit, query = request.query.limit, request.query
        last = await self.store.runs(
            job.name, limit + 1, query.before, query.outcome, SIZE
        )
        has_more = len(last) > limit or sum(run.size for run in last) > SIZE
        following = last[:limit][-1].number if has_more else None
        runs = (run_of(run) async for run in cooperatively(last[:limit]))
        return await _encoded(runs, following, job=job.name)

    async def recorded(self, request: ApiRequest[AllRunsQuery]) -> EncodedPage:
        """List the runs of all jobs, a page at a time."""
        query, limit = request.query, request.query.limit
        last = await self.store.recorded_runs(
            RunFilter(
                outcomes=frozenset(query.outcome),
                since=instant(query.since, self.clock.now()),
                before=query.before,
                limit=limit + 1,
                size=SIZE,
            )
        )
        has_more = len(last) > limit or sum(one.run.size for one in last) > SIZE
        following = last[:limit][-1].id if has_more else None
        runs = (recorded_run_of(one) async for one in cooperatively(last[:limit]))
        most = self.service.settings.runs_per_job
        return await _encoded(runs, following, runs_per_job=most)

    async def open(
        self, request: ApiRequest[OpenRunsQuery]
    ) -> response_models.OpenRuns:
        """List the open runs of all jobs, a page at a time.

        The runs of a job are on one page, so a page may be longer than its limit.
        """
        service, names = self.service, self.service.names
        start = bisect_right(names, request.query.after or "")
        runs: list[response_models.JobOpenRun] = []
        async for name in cooperatively(names[start:]):
            entry = service.job_and_state(name)
            if entry is None or not entry[1].open_runs:
                continue
            if len(runs) >= request.query.limit:
                return response_models.OpenRuns(runs=runs, next=runs[-1].job)
            runs += [
                response_models.JobOpenRun(
                    job=name, **dict(open_run_of(entry[0], run, service.settings))
                )
                for run in entry[1].open_runs
            ]
        return response_models.OpenRuns(runs=runs, next=None)


async def _encoded(
    runs: AsyncIterable[response_models.Run], following: int | None, **fields: str | int
) -> EncodedPage:
    """Return the page of *runs* with other *fields*.

    Each run is encoded alone: one with long metadata takes milliseconds and megabytes.
    """
    items = ",".join([run.model_dump_json() async for run in runs])
    names = "".join(f'"{name}":{json.dumps(value)},' for name, value in fields.items())
    text = f'{{{names}"runs":[{items}],"next":{json.dumps(following)}}}'
    return EncodedPage(text.encode(), following)
