"""Direct delivery of alerts to each Alertmanager, without waiting for a scrape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from afterrun_exporter.alertmanager import alerts
from afterrun_exporter.alertmanager.client import Post, without_credentials
from afterrun_exporter.alertmanager.descriptions import current_annotations
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
from afterrun_exporter.core.state import AlertOpened, JobState
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.outbox import Outbox

#: Alertmanager's default.
GROUP_INTERVAL: Final = 300.0
#: Factor of the group interval after which a late notification is certain.
LATE: Final = 1.1

NO_ALERTMANAGER: Final = Alertmanager()

log = structlog.get_logger()


class AlertNotifier:
    """Delivers every alert to every configured Alertmanager.

    `configure` sets the Alertmanagers; alerts committed from then on are delivered.
    `refresh` adds the alerts that are already open, with current labels. Alerts are posted
    only inside `running`, and only while this replica leads.
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
        self._external_url = external_url.rstrip("/")
        self._configured_url = self._external_url
        self._configured = NO_ALERTMANAGER
        self._senders: dict[str, AlertmanagerSender] = {}
        #: None outside `running`.
        self._tasks: dict[str, asyncio.Task[None]] | None = None

    def configure(self, alertmanager: Alertmanager, external_url: str = "") -> None:
        """Deliver to the Alertmanagers of *alertmanager* from now on, and to no others.

        Alerts link to the daemon at *external_url*, by default the one of its flags.
        """
        self._configured = alertmanager
        self._configured_url = external_url or self._external_url
        urls = {without_credentials(url): url for url in alertmanager.push_to}
        for name in self._senders.keys() - urls.keys():
            del self._senders[name]
        for name, url in urls.items():
            settings = self._settings_for(url)
            if (sender := self._senders.get(name)) is not None:
                sender.settings = settings
            else:
                self._senders[name] = self._new_sender(name, settings)
                if self._tasks is not None:
                    self._skip_resolved(name)
        self._outbox.record(
            self._opened_notification if urls else None, self._holding, self._schedule
        )
        self._schedule(self._outbox.notices)
        self._run_senders()

    async def refresh(self) -> None:
        """Apply the current jobs and labels, also to alerts that opened before.

        It is work of the leader.
        """
        try:
            if self._senders:
                jobs = {notice.job for notice in self._outbox.notices.values()}
                jobs |= {
                    job.name for job, state in self._service.watched() if state.alerts
                }
                if not self._service.agrees:
                    # Another replica may still have those that are unknown here.
                    jobs = {name for name in jobs if self._service.job(name)}
                while jobs:
                    jobs = await self._outbox.reconcile(
                        jobs, self._open_notifications, self._clock.now
                    )
                    if not (jobs and self._service.leads):
                        break
                    # Another replica has changed them.
                    await self._service.catch_up()
                await self._outbox.forget(self._is_done)
            else:
                await self._outbox.forget(lambda _: True)
        except StorageError as error:
            log.error("outbox_not_saved", error=str(error))  # noqa: TRY400

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Post alerts that are due; undelivered ones wait for the next start."""
        self._tasks = {}
        try:
            self._run_senders()
            yield
        finally:
            tasks, self._tasks = self._tasks, None
            await _end(tasks.values())

    def counts(self) -> Iterator[tuple[str, int, int, int]]:
        """Yield each Alertmanager with its successful and failed posts and waiting alerts."""
        for name, sender in self._senders.items():
            posts = sender.posts
            yield name, posts["ok"], posts["failed"], sender.waiting()

    def _run_senders(self) -> None:
        if self._tasks is None:
            return
        for name in self._tasks.keys() - self._senders.keys():
            self._tasks.pop(name).cancel()
        for name in self._senders.keys() - self._tasks.keys():
            task = asyncio.create_task(self._senders[name].run(), name=f"push {name}")
            self._tasks[name] = task

    def _new_sender(self, name: str, settings: SenderSettings) -> AlertmanagerSender:
        return AlertmanagerSender(
            name,
            settings,
            self._outbox,
            self._clock,
            self._post,
            self._jitter,
            self._record_deliveries,
            lambda: self._service.leads,
        )

    def _skip_resolved(self, name: str) -> None:
        """Mark resolved alerts as delivered for a new Alertmanager."""
        now = self._clock.now()
        old = {
            labels: DeliveryState(notice.opened_at, Stage.RESOLVED, now, now)
            for labels, notice in self._outbox.notices.items()
            if notice.resolved_at is not None
            and self._outbox.delivery(labels, name) is None
        }
        self._outbox.renewed(name, old)

    def _settings_for(self, url: str) -> SenderSettings:
        delay = self._configured.resolve_delay
        interval = self._configured.grouping.group_interval or GROUP_INTERVAL
        return SenderSettings(
            url=url,
            delays=Delays(resolve=delay, late=LATE * interval),
            lifetime=lifetime(self._service.settings.min_visible, delay),
            external_url=self._configured_url,
            silences=self._configured.external_url,
            annotations=self._annotations,
        )

    def _annotations(self, notice: AlertNotification) -> dict[str, str]:
        job, state = self._service.job(notice.job), self._service.state(notice.job)
        if job is None or state is None:
            return {}
        return current_annotations(job, state, notice, self._service.settings)

    def _opened_notification(self, job: str, event: AlertOpened) -> AlertNotification:
        return alerts.opened_notification(job, event, self._configured.labels)

    def _open_notifications(self, name: str) -> list[AlertNotification]:
        state = self._service.state(name)
        return [] if state is None else self._holding(name, state)

    def _holding(self, name: str, state: JobState) -> list[AlertNotification]:
        job = self._service.job(name)
        if job is None:
            return []
        return alerts.holding(job, state, self._configured.labels)

    def _schedule(self, changed: Iterable[str]) -> None:
        labels = tuple(changed)
        for sender in self._senders.values():
            sender.schedule(labels)

    async def _record_deliveries(
        self, name: str, news: Mapping[str, DeliveryState]
    ) -> None:
        try:
            await self._outbox.note(name, news, self._is_done)
        except StorageError as error:
            # It was delivered. At worst it is delivered again after a restart.
            log.error("outbox_not_saved", error=str(error))  # noqa: TRY400

    def _is_done(self, notice: AlertNotification) -> bool:
        """Return True if *notice* needs no more deliveries."""
        return notice.resolved_at is not None and not any(
            sender.next_step(notice) for sender in self._senders.values()
        )


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
