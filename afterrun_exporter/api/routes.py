"""Routes of ``/api/v1`` and the badges."""

from __future__ import annotations

import asyncio
from functools import partial

from aiohttp import web

from afterrun_exporter import __version__
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api import operations, reference
from afterrun_exporter.api.alerts import AlertsApi
from afterrun_exporter.api.backtest import backtest
from afterrun_exporter.api.badge import badge
from afterrun_exporter.api.check import AT_ONCE, check
from afterrun_exporter.api.handlers import json_route
from afterrun_exporter.api.jobs import JobsApi
from afterrun_exporter.api.period_reports import ReportsApi
from afterrun_exporter.api.receivers import ReceiversApi
from afterrun_exporter.api.runs import RunsApi
from afterrun_exporter.api.state import StateApi
from afterrun_exporter.clock import Clock
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Store


def routes(
    service: Service, store: Store, job_receivers: Receivers, clock: Clock
) -> list[web.RouteDef]:
    """Return the routes of all operations."""
    job_admin = JobAdmin(service, clock)
    jobs = JobsApi(service, store, job_admin, clock)
    runs = RunsApi(service, store, clock)
    alerts = AlertsApi(service, store, job_admin, clock)
    receivers = ReceiversApi(service, job_receivers, clock)
    document, page = reference.handlers(__version__)
    return [
        *json_route(operations.JOBS, jobs.jobs),
        *json_route(operations.JOB, jobs.job),
        *json_route(operations.PAUSE, jobs.pause),
        *json_route(operations.RESUME, jobs.resume),
        *json_route(operations.DISABLE, jobs.disable),
        *json_route(operations.ENABLE, jobs.resume),
        *json_route(operations.REMOVE_JOB, jobs.remove),
        *json_route(operations.STATE, StateApi(service, clock).state),
        *json_route(operations.RUNS, runs.of_job),
        *json_route(operations.ALL_RUNS, runs.recorded),
        *json_route(operations.OPEN_RUNS, runs.open),
        *json_route(operations.BACKTEST, partial(backtest, service, store, clock)),
        *json_route(operations.JOB_ALERTS, alerts.of_job),
        *json_route(operations.JOB_RECEIVERS, receivers.of_job),
        *json_route(operations.ADD_RECEIVER, receivers.add),
        *json_route(operations.RECEIVERS, receivers.every),
        *json_route(operations.RECEIVER, receivers.one),
        *json_route(operations.REMOVE_RECEIVER, receivers.remove),
        *json_route(operations.ALERTS, alerts.history),
        *json_route(operations.ALERT_STATS, alerts.stats),
        *json_route(operations.TEST_ALERT, alerts.test),
        *json_route(operations.REPORT, ReportsApi(service, clock).report),
        *json_route(
            operations.CHECK, partial(check, clock, asyncio.Semaphore(AT_ONCE))
        ),
        *operations.BADGE.endpoint.to(partial(badge, service)),
        *operations.DOCUMENT.endpoint.to(document),
        *operations.REFERENCE.endpoint.to(page),
        *operations.INDEX.endpoint.to(page),
    ]
