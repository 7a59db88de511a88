"""The pages: what is where."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from afterrun_exporter.auth import endpoints
from afterrun_exporter.page import actions
from afterrun_exporter.page.alerts_page import alerts_page
from afterrun_exporter.page.assets import asset
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.job_page import job_page
from afterrun_exporter.page.overview_page import overview
from afterrun_exporter.page.period_report_page import report_page
from afterrun_exporter.page.runbook import runbook, runbook_of_job
from afterrun_exporter.page.runs_page import runs_page


def routes(context: Context) -> list[web.RouteDef]:
    """Return the routes of all pages, of what they refer to and of their forms."""
    return [
        *endpoints.OVERVIEW.to(partial(overview, context)),
        *endpoints.JOB_PAGE.to(partial(job_page, context)),
        *endpoints.ALERTS_PAGE.to(partial(alerts_page, context)),
        *endpoints.RUNS_PAGE.to(partial(runs_page, context)),
        *endpoints.RUNBOOK.to(partial(runbook, context)),
        *endpoints.JOB_RUNBOOK.to(partial(runbook_of_job, context)),
        *endpoints.REPORT_PAGE.to(partial(report_page, context)),
        *endpoints.STATIC.to(asset),
        *actions.routes(context),
    ]
