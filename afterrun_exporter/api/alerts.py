"""Recorded alerts, and test alerts."""

from __future__ import annotations

from typing import Final

from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.api.handlers import Act, ApiRequest
from afterrun_exporter.api.jobs import find_job
from afterrun_exporter.api.serializers import alert_of, stats_of
from afterrun_exporter.clock import Clock
from afterrun_exporter.conventions import TEST_JOB
from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.timestamps import format_time, instant
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import UnknownJobError
from afterrun_exporter.storage.store import EVERY_ALERT, AlertFilter, Store

#: Number of jobs in the statistics.
TOP: Final = 10


def history(
    store: Store, clock: Clock
) -> Act[request_models.AlertsQuery, request_models.NoBody, response_models.Alerts]:
    """Return the handler that lists recorded alerts, a page at a time."""

    async def act(
        request: ApiRequest[request_models.AlertsQuery, request_models.NoBody],
    ) -> response_models.Alerts:
        return await _page(store, request.query, request.query.job, clock.now())

    return act


def of_job(
    store: Store, clock: Clock
) -> Act[request_models.JobAlertsQuery, request_models.NoBody, response_models.Alerts]:
    """Return the handler that lists the recorded alerts of a job, a page at a time."""

    async def act(
        request: ApiRequest[request_models.JobAlertsQuery, request_models.NoBody],
    ) -> response_models.Alerts:
        return await _page(store, request.query, request.job, clock.now())

    return act


def stats(
    store: Store, clock: Clock
) -> Act[request_models.StatsQuery, request_models.NoBody, response_models.Stats]:
    """Return the handler that counts the alerts since a point in time."""

    async def act(
        request: ApiRequest[request_models.StatsQuery, request_models.NoBody],
    ) -> response_models.Stats:
        since = instant(request.query.since, clock.now())
        return stats_of(await store.alert_stats(since, TOP), since)

    return act


def test(
    service: Service, job_admin: JobAdmin, store: Store
) -> Act[request_models.NoQuery, request_models.TestAlert, response_models.OpenedTest]:
    """Return the handler that opens a test alert.

    The alert belongs to the named job, or to a job created for tests. A second
    request extends an open test alert of the same severity and ends one of another
    severity.
    """

    async def act(
        request: ApiRequest[request_models.NoQuery, request_models.TestAlert],
    ) -> response_models.OpenedTest:
        body = request.body
        if body.job is not None:
            find_job(service, body.job)
        seconds = parse_duration(body.lasts)
        await job_admin.test_alert(body.job, seconds, body.severity or "")
        job = body.job or TEST_JOB
        _, state = find_job(service, job)
        which = AlertFilter(job=job, conditions=(Condition.TEST,), limit=1)
        (alert,) = await store.alerts(which)
        until = format_time(state.test_until)
        return response_models.OpenedTest(**dict(alert_of(alert)), until=until)

    return act


async def _page(
    store: Store, query: request_models.AlertsOf, job: str | None, now: float
) -> response_models.Alerts:
    if job is not None and job not in store.states:
        # A job that was removed from the configuration keeps its history.
        raise UnknownJobError(f"unknown job {job[:128]!r}: it has no recorded alerts")
    since = query.since
    which = AlertFilter(
        job=job,
        conditions=(query.kind,) if query.kind else (),
        severity=query.severity,
        open=None if query.state is None else query.state == "open",
        since=EVERY_ALERT.since if since is None else instant(since, now),
        before=query.before,
        limit=query.limit + 1,
    )
    alerts = await store.alerts(which)
    page = alerts[: query.limit]
    following = page[-1].id if len(alerts) > query.limit else None
    return response_models.Alerts(
        alerts=[alert_of(alert) for alert in page], next=following
    )
