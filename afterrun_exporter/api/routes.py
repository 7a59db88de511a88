"""Routes of ``/api/v1`` and the badges."""

from __future__ import annotations

from aiohttp import web

from afterrun_exporter import __version__
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api import (
    alerts,
    backtest,
    badge,
    check,
    jobs,
    operations,
    receivers,
    reference,
)
from afterrun_exporter.api.handlers import json_route, raw_json_route
from afterrun_exporter.clock import Clock
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Store


def routes(
    service: Service, store: Store, job_receivers: Receivers, clock: Clock
) -> list[web.RouteDef]:
    """Return the routes of all operations."""
    job_admin = JobAdmin(service, clock)
    document, page = reference.document(__version__), reference.page(__version__)
    return [
        *json_route(operations.JOBS, jobs.jobs(service)),
        *json_route(operations.JOB, jobs.job(service)),
        *json_route(operations.PAUSE, jobs.pause(service, job_admin, clock)),
        *json_route(operations.RESUME, jobs.resume(service, job_admin)),
        *json_route(operations.REMOVE_JOB, jobs.remove(service, job_admin)),
        *json_route(operations.RUNS, jobs.runs(service, store)),
        *raw_json_route(operations.BACKTEST, backtest.backtest(service, store, clock)),
        *json_route(operations.JOB_ALERTS, alerts.of_job(store, clock)),
        *json_route(operations.JOB_RECEIVERS, receivers.of_job(service, job_receivers)),
        *json_route(
            operations.ADD_RECEIVER, receivers.add(service, job_receivers, clock)
        ),
        *json_route(operations.RECEIVERS, receivers.every(job_receivers)),
        *json_route(operations.RECEIVER, receivers.one(job_receivers)),
        *json_route(operations.REMOVE_RECEIVER, receivers.remove(job_receivers)),
        *json_route(operations.ALERTS, alerts.history(store, clock)),
        *json_route(operations.ALERT_STATS, alerts.stats(store, clock)),
        *json_route(operations.TEST_ALERT, alerts.test(service, job_admin, store)),
        *json_route(operations.CHECK, check.check(clock)),
        *operations.BADGE.endpoint.to(badge.badge(service)),
        *operations.DOCUMENT.endpoint.to(document),
        *operations.REFERENCE.endpoint.to(page),
        *operations.INDEX.endpoint.to(page),
    ]
