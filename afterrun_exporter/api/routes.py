"""``/api/v1`` and the badges: what can be asked of the daemon, and what it can be told."""

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
from afterrun_exporter.api.handlers import routed, served, written
from afterrun_exporter.clock import Clock
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Store


def routes(
    service: Service, store: Store, told: Receivers, clock: Clock
) -> list[web.RouteDef]:
    """Return the routes of the operations in the table, which are all it has."""
    job_admin = JobAdmin(service, clock)
    document, page = reference.document(__version__), reference.page(__version__)
    return [
        served(operations.JOBS, jobs.jobs(service)),
        served(operations.JOB, jobs.job(service)),
        served(operations.PAUSE, jobs.pause(service, job_admin, clock)),
        served(operations.RESUME, jobs.resume(service, job_admin)),
        served(operations.REMOVE_JOB, jobs.remove(service, job_admin)),
        served(operations.RUNS, jobs.runs(service, store)),
        written(operations.BACKTEST, backtest.backtest(service, store, clock)),
        served(operations.JOB_ALERTS, alerts.of_job(store, clock)),
        served(operations.JOB_RECEIVERS, receivers.listed(service, told)),
        served(operations.ADD_RECEIVER, receivers.add(service, told, clock)),
        served(operations.RECEIVERS, receivers.every(told)),
        served(operations.RECEIVER, receivers.one(told)),
        served(operations.REMOVE_RECEIVER, receivers.remove(told)),
        served(operations.ALERTS, alerts.history(store, clock)),
        served(operations.ALERT_STATS, alerts.stats(store, clock)),
        served(operations.TEST_ALERT, alerts.test(service, job_admin, store)),
        served(operations.CHECK, check.check(clock)),
        routed(operations.BADGE, badge.badge(service)),
        routed(operations.DOCUMENT, document),
        routed(operations.REFERENCE, page),
        routed(operations.INDEX, page),
    ]
