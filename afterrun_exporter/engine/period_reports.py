"""Reports of the jobs of a service, computed in steps that do not block pings."""

from __future__ import annotations

from afterrun_exporter.clock import cooperatively, in_background
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
    watched, matches = set(service.names), query.predicate
    if matches is not None:
        watched = {
            name
            async for name in cooperatively(watched)
            if (job := service.described(name)) is not None and matches(job, ())
        }
    selected = None if matches is None else watched
    data = await service.store.figures(period.first, period.last, selected)
    figures = {one.job: one async for one in cooperatively(data.jobs)}
    runs = sum(len(one.durations) for one in data.jobs)
    builder = ReportBuilder(period, service.now(), runs)
    names = watched | figures.keys() | data.broken.keys()
    async for name in cooperatively(names):
        spans = data.broken.get(name, ())
        builder.add(name, service.described(name), figures.get(name), spans)
    days = data.days if matches is None else ()
    return await in_background(builder.report, days, jobs)
