"""Reports over a period."""

from __future__ import annotations

from dataclasses import dataclass

from afterrun_exporter.api.handlers import ApiRequest
from afterrun_exporter.api.request_models import ReportQuery
from afterrun_exporter.clock import Clock, in_background
from afterrun_exporter.core.job_query import parse_query
from afterrun_exporter.core.period_reports import encode_report, parse_period
from afterrun_exporter.engine.period_reports import report
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import RequestError


@dataclass(frozen=True, slots=True)
class ReportsApi:
    """The handler of reports."""

    service: Service
    clock: Clock

    async def report(self, request: ApiRequest[ReportQuery]) -> bytes:
        """Return the report on the matching jobs."""
        query = request.query
        try:
            period = parse_period(query.period, self.clock.now())
            job_query = parse_query(
                q=query.q or "",
                label=query.label,
                project=query.project or "",
                tag=query.tag,
            )
        except ValueError as error:
            raise RequestError(str(error)) from None
        result = await report(self.service, job_query, period, query.limit)
        return await in_background(encode_report, result)
