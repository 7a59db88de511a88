"""Reports of the jobs of a service, computed in steps that do not block pings."""

from __future__ import annotations

from collections import defaultdict

from afterrun_exporter.clock import cooperatively, in_background
from afterrun_exporter.core.daily_figures import BrokenSpan
from afterrun_exporter.core.job_query import JobQuery
from afterrun_exporter.core.period_reports import Period, Report, ReportBuilder
from afterrun_exporter.engine.service import Service


async def report(
    service: Service, query: JobQuery, period: Period, jobs: int
) -> Report:
    """Return the report of *period* on the jobs that match, listing at most *jobs*.

    Jobs that were removed meanwhile are included if there are no filters. One report is
    made at a time. Raises StorageError.
    """
    async with service.reporting:
        return await _report(service, query, period, jobs)


async def _report(
    service: Service, query: JobQuery, period: Period, jobs: int
) -> Report:
    data = await service.store.figures(period.first, period.last)
    figures = {one.job: one async for one in cooperatively(data.jobs)}
    spans: defaultdict[str, list[BrokenSpan]] = defaultdict(list)
    async for span in cooperatively(data.broken):
        spans[span.job].append(span)
    runs = sum(len(one.durations) for one in data.jobs)
    builder, matches = ReportBuilder(period, service.now(), runs), query.predicate
    async for name in cooperatively({*service.names, *figures, *spans}):
        job = service.described(name)
        if matches is None or (job is not None and matches(job, ())):
            builder.add(name, job, figures.get(name), spans.get(name, ()))
    days = data.days if matches is None else ()
    return await in_background(builder.report, days, jobs)
