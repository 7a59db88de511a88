"""The page of reports over a period."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from markupsafe import Markup
from multidict import MultiMapping

from afterrun_exporter.clock import in_background
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.job_query import JobQuery, parse_query
from afterrun_exporter.core.period_report_html import fragment
from afterrun_exporter.core.period_reports import Period, parse_period
from afterrun_exporter.engine.period_reports import report
from afterrun_exporter.errors import RequestError
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.rendering import page

#: Jobs in the table.
JOBS: Final = 100
PERIODS: Final = {
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "last-week": "last week",
    "last-month": "last month",
}
_NAMES: Final = ("period", "q", "label", "project", "tag")


async def report_page(context: Context, request: web.Request) -> web.Response:
    """Return the page at ``/report``."""
    now = context.clock.now()
    text = request.query.get("period", "30d")
    job_query, period = _read(request.query, text, now)
    result = await report(context.service, job_query, period, JOBS)
    html = await in_background(fragment, result, context.site.base(request))
    parameters = [
        *((name, value) for name, value in request.query.items() if name != "period"),
        ("period", text),
    ]
    return await page(
        "report.html",
        **context.site.common(request, now),
        report=result,
        # Text in it is escaped by the core.
        fragment=Markup(html),  # noqa: S704
        query=job_query,
        period=text,
        periods=PERIODS if text in PERIODS else {text: text, **PERIODS},
        parameters=urlencode(parameters),
    )


def _read(
    parameters: MultiMapping[str], text: str, now: float
) -> tuple[JobQuery, Period]:
    """Return the query and the period; raise RequestError if one is invalid."""
    for name in parameters:
        if name not in _NAMES:
            hint = did_you_mean(name, _NAMES)
            raise RequestError(f"unknown parameter {name[:60]!r}{hint}")
    try:
        query = parse_query(
            q=parameters.get("q", ""),
            label=parameters.getall("label", ()),
            project=parameters.get("project", ""),
            tag=parameters.getall("tag", ()),
        )
        return query, parse_period(text, now)
    except ValueError as error:
        raise RequestError(str(error)) from None
