"""The alerts, straight to each Alertmanager: nobody waits for a scrape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from afterrun_exporter.alertmanager import alerts
from afterrun_exporter.alertmanager.client import Post, without_credentials
from afterrun_exporter.alertmanager.sender import AlertmanagerSender, SenderSettings
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.notifications import (
    AlertNotification,
    Delays,
    DeliveryState,
    Stage,
    lifetime,
)
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.core.state import AlertOpened
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.outbox import Outbox

#: Alertmanager's own, where it is not configured.
GROUP_INTERVAL: Final = 300.0
#: A group may have been notified right before: it is again an interval later.
LATE: Final = 1.1

NOBODY: Final = Alertmanager()

log = structlog.get_logger()


class AlertNotifier:
    """Has every alert told to every Alertmanager that the configuration names.

    `configure` says to whom; what is committed from then on is told. `refresh` sees to
    it that what holds already is told as well, and by the labels of today. Nothing is
    posted outside `running`.
    """

    def __init__(
        self,
        service: Service,
        outbox: Outbox,
        clock: Clock,
        post: Post,
        jitter: Callable[[float], float],
        external_url: str = "",
    ) -> None:
        self._service = service
        self._outbox = outbox
        self._clock = clock
        self._post = post
        self._jitter = jitter
        self._external_url = external_url
        self._configured = NOBODY
        self._couriers: dict[str, AlertmanagerSender] = {}
        #: None while nothing is posted.
        self._tasks: dict[str, asyncio.Task[None]] | None = None

    def configure(self, alertmanager: Alertmanager) -> None:
        """Tell the Alertmanagers of *alertmanager* from now on, and no others."""
        self._configured = alertmanager
        urls = {without_credentials(url): url for url in alertmanager.push_to}
        for name in self._couriers.keys() - urls.keys():
            del self._couriers[name]
        for name, url in urls.items():
            terms = self._terms(url)
            if (known := self._couriers.get(name)) is not None:
                known.terms = terms
            else:
                self._couriers[name] = self._courier(name, terms)
                if self._tasks is not None:
                    self._spare(name)
        self._outbox.record(self._announce if urls else None, self._look_at)
        self._look_at(self._outbox.notices)
        self._run_couriers()

    async def refresh(self) -> None:
        """Go by today's jobs and labels, also for alerts that opened before."""
        try:
            if self._couriers:
                jobs = {notice.job for notice in self._outbox.notices.values()}
                jobs |= {
                    job.name for job, state in self._service.watched() if state.alerts
                }
                await self._outbox.reconcile(jobs, self._holding, self._clock.now)
                await self._outbox.forget(self._is_done)
            else:
                await self._outbox.forget(lambda _: True)
        except StorageError as error:
            log.error("outbox_not_saved", error=str(error))  # noqa: TRY400

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Post whatever becomes due; what is left at the end waits for the next start."""
        self._tasks = {}
        try:
            self._run_couriers()
            yield
        finally:
            tasks, self._tasks = self._tasks, None
            await _end(tasks.values())

    def counts(self) -> Iterator[tuple[str, int, int, int]]:
        """Yield each Alertmanager, its posts that succeeded and failed, what waits."""
        for name, courier in self._couriers.items():
            posts = courier.posts
            yield name, posts["ok"], posts["failed"], courier.waiting()

    def _run_couriers(self) -> None:
        if self._tasks is None:
            return
        for name in self._tasks.keys() - self._couriers.keys():
            self._tasks.pop(name).cancel()
        for name in self._couriers.keys() - self._tasks.keys():
            task = asyncio.create_task(self._couriers[name].run(), name=f"push {name}")
            self._tasks[name] = task

    def _courier(self, name: str, terms: SenderSettings) -> AlertmanagerSender:
        return AlertmanagerSender(
            name,
            terms,
            self._outbox,
            self._clock,
            self._post,
            self._jitter,
            self._take_note,
        )

    def _spare(self, name: str) -> None:
        """Tell an Alertmanager that is new nothing of what was over before."""
        now = self._clock.now()
        old = {
            labels: DeliveryState(notice.opened_at, Stage.RESOLVED, now, now)
            for labels, notice in self._outbox.notices.items()
            if notice.resolved_at is not None
            and self._outbox.told(labels, name) is None
        }
        self._outbox.renewed(name, old)

    def _terms(self, url: str) -> SenderSettings:
        delay = self._configured.resolve_delay
        interval = self._configured.grouping.group_interval or GROUP_INTERVAL
        return SenderSettings(
            url=url,
            delays=Delays(resolve=delay, late=LATE * interval),
            lifetime=lifetime(self._service.settings.min_visible, delay),
            external_url=self._external_url,
            runbook=self._runbook,
        )

    def _runbook(self, name: str) -> str:
        # As its alerting rules have it: the generic ones know no job's own.
        job = self._service.job(name)
        return job.runbook_url if job is not None and job.dedicated else ""

    def _announce(self, job: str, event: AlertOpened) -> AlertNotification:
        return alerts.opened(job, event, self._configured.labels)

    def _holding(self, name: str) -> list[AlertNotification]:
        job, state = self._service.job(name), self._service.state(name)
        if job is None or state is None:
            return []
        return alerts.holding(job, state, self._configured.labels)

    def _look_at(self, changed: Iterable[str]) -> None:
        labels = tuple(changed)
        for courier in self._couriers.values():
            courier.look_at(labels)

    async def _take_note(self, name: str, news: Mapping[str, DeliveryState]) -> None:
        try:
            await self._outbox.note(name, news, self._is_done)
        except StorageError as error:
            # It has been told. At worst it is told once more after a restart.
            log.error("outbox_not_saved", error=str(error))  # noqa: TRY400

    def _is_done(self, notice: AlertNotification) -> bool:
        """Return whether nobody is to be told anything of *notice* any more."""
        return notice.resolved_at is not None and not any(
            courier.next_step(notice) for courier in self._couriers.values()
        )


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
