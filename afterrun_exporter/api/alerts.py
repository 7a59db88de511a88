"""The history of alerts, and an alert for a test."""

from __future__ import annotations

from typing import Final

from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.api.handlers import Act, ApiRequest
from afterrun_exporter.api.jobs import known
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

#: Jobs that the statistics name.
TOP: Final = 10


def history(
    store: Store, clock: Clock
) -> Act[request_models.AlertsQuery, request_models.NoBody, response_models.Alerts]:
    """Return what answers with recorded alerts, a page at a time."""

    async def act(
        asked: ApiRequest[request_models.AlertsQuery, request_models.NoBody],
    ) -> response_models.Alerts:
        return await _page(store, asked.query, asked.query.job, clock.now())

    return act


def of_job(
    store: Store, clock: Clock
) -> Act[request_models.JobAlertsQuery, request_models.NoBody, response_models.Alerts]:
    """Return what answers with the recorded alerts of a job, a page at a time."""

    async def act(
        asked: ApiRequest[request_models.JobAlertsQuery, request_models.NoBody],
    ) -> response_models.Alerts:
        return await _page(store, asked.query, asked.job, clock.now())

    return act


def stats(
    store: Store, clock: Clock
) -> Act[request_models.StatsQuery, request_models.NoBody, response_models.Stats]:
    """Return what answers with what the alerts of a time come to."""

    async def act(
        asked: ApiRequest[request_models.StatsQuery, request_models.NoBody],
    ) -> response_models.Stats:
        since = instant(asked.query.since, clock.now())
        return stats_of(await store.alert_stats(since, TOP), since)

    return act


def test(
    service: Service, job_admin: JobAdmin, store: Store
) -> Act[request_models.NoQuery, request_models.TestAlert, response_models.OpenedTest]:
    """Return what opens an alert to see whether it arrives.

    It is one of the job that is named, or of one that is made for tests. While one
    of the same severity is open, another only makes it last longer; one of another
    severity ends.
    """

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.TestAlert],
    ) -> response_models.OpenedTest:
        body = asked.body
        if body.job is not None:
            known(service, body.job)
        seconds = parse_duration(body.lasts)
        await job_admin.test_alert(body.job, seconds, body.severity or "")
        job = body.job or TEST_JOB
        _, state = known(service, job)
        which = AlertFilter(job=job, conditions=(Condition.TEST,), limit=1)
        (opened,) = await store.alerts(which)
        until = format_time(state.test_until)
        return response_models.OpenedTest(**dict(alert_of(opened)), until=until)

    return act


async def _page(
    store: Store, query: request_models.AlertsOf, job: str | None, now: float
) -> response_models.Alerts:
    if job is not None and job not in store.states:
        # One that left the configuration still has its history.
        raise UnknownJobError(f"unknown job {job[:128]!r}: nothing is known of it")
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
    found = await store.alerts(which)
    page = found[: query.limit]
    following = page[-1].id if len(found) > query.limit else None
    return response_models.Alerts(
        alerts=[alert_of(alert) for alert in page], next=following
    )
