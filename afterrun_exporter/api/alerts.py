"""Recorded alerts, and test alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from afterrun_exporter.api import response_models
from afterrun_exporter.api.handlers import ApiRequest
from afterrun_exporter.api.jobs import find_job
from afterrun_exporter.api.request_models import (
    AlertsQuery,
    JobAlertsQuery,
    NoQuery,
    StatsQuery,
    TestAlert,
)
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


@dataclass(frozen=True, slots=True)
class AlertsApi:
    """The handlers of alerts."""

    service: Service
    store: Store
    job_admin: JobAdmin
    clock: Clock

    async def history(self, request: ApiRequest[AlertsQuery]) -> response_models.Alerts:
        """List recorded alerts, a page at a time."""
        return await self._page(request.query, request.query.job)

    async def of_job(
        self, request: ApiRequest[JobAlertsQuery]
    ) -> response_models.Alerts:
        """List the recorded alerts of a job, a page at a time."""
        return await self._page(request.query, request.job)

    async def stats(self, request: ApiRequest[StatsQuery]) -> response_models.Stats:
        """Count the alerts since a point in time."""
        since = instant(request.query.since, self.clock.now())
        return stats_of(await self.store.alert_stats(since, TOP), since)

    async def test(
        self, request: ApiRequest[NoQuery, TestAlert]
    ) -> response_models.OpenedTest:
        """Open a test alert.

        The alert belongs to the named job, or to a job created for tests. A second
        request extends an open test alert of the same severity and ends one of another
        severity.
        """
        body = request.body
        if body.job is not None:
            find_job(self.service, body.job)
        seconds = parse_duration(body.lasts)
        await self.job_admin.test_alert(body.job, seconds, body.severity or "")
        job = body.job or TEST_JOB
        _, state = find_job(self.service, job)
        which = AlertFilter(job=job, conditions=(Condition.TEST,), limit=1)
        (alert,) = await self.store.alerts(which)
        until = format_time(state.test_until)
        return response_models.OpenedTest(**dict(alert_of(alert)), until=until)

    async def _page(
        self, query: JobAlertsQuery, job: str | None
    ) -> response_models.Alerts:
        if job is not None and job not in self.store.states:
            # A job that was removed from the configuration keeps its history.
            raise UnknownJobError(
                f"unknown job {job[:128]!r}: it has no recorded alerts"
            )
        since = EVERY_ALERT.since
        if query.since is not None:
            since = instant(query.since, self.clock.now())
        which = AlertFilter(
            job=job,
            conditions=(query.kind,) if query.kind else (),
            severity=query.severity,
            open=None if query.state is None else query.state == "open",
            since=since,
            before=query.before,
            limit=query.limit + 1,
        )
        alerts = await self.store.alerts(which)
        page = alerts[: query.limit]
        following = page[-1].id if len(alerts) > query.limit else None
        return response_models.Alerts(
            alerts=[alert_of(alert) for alert in page], next=following
        )
