"""Delivery of alerts to one Alertmanager, independently of the others."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

import structlog

from afterrun_exporter.alertmanager.alerts import message
from afterrun_exporter.alertmanager.client import Post
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.notifications import (
    AlertNotification,
    Delays,
    DeliveryState,
    Stage,
    Step,
    corrected,
    next_step,
)
from afterrun_exporter.engine.wakeup_queue import WakeupQueue
from afterrun_exporter.errors import AlertsRefusedError, PushError
from afterrun_exporter.storage.outbox import Outbox

#: The most alerts in one request.
BATCH: Final = 500

#: Seconds of the longest pause after the first failure, and after a series of them.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0

#: Seconds between two looks at whether this replica posts.
LOOK_EVERY: Final = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """Settings of a sender that can change while it runs."""

    url: str
    delays: Delays
    lifetime: float
    #: The URL of the daemon; "" if it is unknown.
    external_url: str = ""
    #: The URL under which people reach Alertmanager; "" if it is unknown.
    silences: str = ""
    #: Returns the annotations of an alert, as far as they are known now.
    annotations: Callable[[AlertNotification], Mapping[str, str]] = lambda _: {}


@dataclass(frozen=True, slots=True)
class PendingPost:
    """A notification and the step that is being delivered."""

    notice: AlertNotification
    step: Step


#: Records deliveries to an Alertmanager.
RecordDeliveries = Callable[[str, Mapping[str, DeliveryState]], Awaitable[None]]


class AlertmanagerSender:
    """Posts new alerts to one Alertmanager, and renews them before they expire."""

    def __init__(
        self,
        name: str,
        settings: SenderSettings,
        outbox: Outbox,
        clock: Clock,
        post: Post,
        jitter: Callable[[float], float],
        record_deliveries: RecordDeliveries,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        #: Its URL without credentials.
        self.name = name
        self.settings = settings
        #: Posts by result.
        self.posts: Counter[str] = Counter(ok=0, failed=0)
        self._outbox = outbox
        self._clock = clock
        self._post = post
        self._jitter = jitter
        self._record_deliveries = record_deliveries
        #: Returns True while this replica is the one that posts.
        self._leads = leads
        self._led = True
        self._wakeups = WakeupQueue()
        #: Steps that are due, in the order in which they became due. Those that inhibit
        #: the alerts of dependent jobs are posted first: their groups wait only shortly.
        self._inhibitors: dict[str, Step] = {}
        self._news: dict[str, Step] = {}
        self._renewals: dict[str, Step] = {}
        self._failures = 0
        self._retry_at = -math.inf
        self._woken = asyncio.Event()
        #: The time of the last check; stored times may come from another clock.
        self._checked_at = math.inf

    def schedule(self, changed: Iterable[str]) -> None:
        """Check these label sets for due deliveries as soon as possible."""
        for labels in changed:
            self._wakeups.plan(labels, -math.inf)
        self._woken.set()

    def waiting(self) -> int:
        """Return the number of alerts with undelivered updates; 0 unless this one posts."""
        if not self._leads():
            return 0
        self._collect_due(self._clock.now())
        return len(self._inhibitors) + len(self._news)

    def next_step(self, notice: AlertNotification) -> Step | None:
        """Return the next delivery step for *notice*; None if there is none."""
        delivery = self._outbox.delivery(notice.labels, self.name)
        return next_step(notice, delivery, self.settings.delays, self._clock.now())

    async def run(self) -> None:
        """Deliver alerts as they become due, until cancelled."""
        while True:
            try:
                await self._run_once()
            except Exception as error:
                log.exception("push_failed", alertmanager=self.name)
                self._record_failure(error)
                await self._sleep_until(self._retry_at)

    async def _run_once(self) -> None:
        self._woken.clear()
        now = self._clock.now()
        if not self._leads():
            self._led = False
            await self._sleep_until(now + LOOK_EVERY)
            return
        # The leader before has delivered some of them.
        if now < self._checked_at or not self._led:
            self._reschedule(now)
        self._checked_at, self._led = now, True
        self._collect_due(now)
        is_due = bool(self._inhibitors or self._news or self._renewals)
        if is_due and now >= self._retry_at:
            await self._deliver(now)
        else:
            await self._sleep_until(
                min(self._wakeups.next(), self._retry_at if is_due else math.inf)
            )

    def _reschedule(self, now: float) -> None:
        """Reschedule everything after the clock was set back."""
        notices = self._outbox.notices
        delayed: dict[str, DeliveryState] = {}
        for labels, notice in notices.items():
            delivery = self._outbox.delivery(labels, self.name)
            if delivery is not None and (late := corrected(notice, delivery, now)):
                delayed[labels] = late
        self._outbox.renewed(self.name, delayed)
        self._retry_at = min(self._retry_at, now)
        self._wakeups = WakeupQueue()
        self.schedule(notices)

    def _collect_due(self, now: float) -> None:
        for labels in self._wakeups.take_due(now):
            self._inhibitors.pop(labels, None)
            self._news.pop(labels, None)
            self._renewals.pop(labels, None)
            notice = self._outbox.notices.get(labels)
            step = self.next_step(notice) if notice else None
            if notice is None or step is None:
                continue
            if step.at > now:
                self._wakeups.plan(labels, step.at)
            elif not step.is_news:
                self._renewals[labels] = step
            elif notice.key.condition is Condition.UPSTREAM_UNHEALTHY:
                self._inhibitors[labels] = step
            else:
                self._news[labels] = step

    async def _deliver(self, now: float) -> None:
        queues = (self._inhibitors, self._news, self._renewals)
        due = islice(chain.from_iterable(queue.items() for queue in queues), BATCH)
        notices = self._outbox.notices
        batches = [[PendingPost(notices[labels], step) for labels, step in due]]
        while batches and self._leads():
            batch = batches.pop()
            try:
                await self._post(
                    self.settings.url, [self._message(e, now) for e in batch]
                )
            except AlertsRefusedError as error:
                self.posts["failed"] += 1
                if len(batch) > 1:
                    # Alertmanager does not name the invalid alert: bisect the batch.
                    half = len(batch) // 2
                    batches += [batch[half:], batch[:half]]
                else:
                    await self._record_refusal(batch[0], error, now)
            except PushError as error:
                self._record_failure(error)
                return
            else:
                self._record_success()
                await self._record_delivery(batch, now)

    def _message(self, pending: PendingPost, now: float) -> dict[str, Any]:
        expires_at = now + self.settings.lifetime
        url = self.settings.external_url
        return message(
            pending.notice,
            pending.step.stage,
            now,
            expires_at,
            url,
            self.settings.annotations(pending.notice),
            self.settings.silences,
        )

    async def _record_delivery(self, batch: list[PendingPost], now: float) -> None:
        news: dict[str, DeliveryState] = {}
        renewals: dict[str, DeliveryState] = {}
        for pending in batch:
            notice, step = pending.notice, pending.step
            before = self._outbox.delivery(notice.labels, self.name)
            since = now if step.is_news or before is None else before.since
            delivery = DeliveryState(notice.opened_at, step.stage, since, now)
            (news if step.is_news else renewals)[notice.labels] = delivery
        self._outbox.renewed(self.name, renewals)
        if news:
            await self._record_deliveries(self.name, news)
        self.schedule(pending.notice.labels for pending in batch)

    async def _record_refusal(
        self, pending: PendingPost, error: AlertsRefusedError, now: float
    ) -> None:
        notice = pending.notice
        log.error(
            "alert_refused",
            alertmanager=self.name,
            labels=notice.labels,
            error=str(error),
        )
        delivery = DeliveryState(notice.opened_at, Stage.REFUSED, now, now)
        await self._record_deliveries(self.name, {notice.labels: delivery})
        self.schedule([notice.labels])

    def _record_failure(self, error: Exception) -> None:
        self.posts["failed"] += 1
        if not self._failures:
            log.warning("push_failing", alertmanager=self.name, error=str(error))
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = self._clock.now() + self._jitter(longest)

    def _record_success(self) -> None:
        self.posts["ok"] += 1
        if self._failures:
            log.info("push_recovered", alertmanager=self.name, failed=self._failures)
        self._failures = 0
        self._retry_at = -math.inf

    async def _sleep_until(self, when: float) -> None:
        waits = [
            asyncio.ensure_future(self._clock.sleep_until(when)),
            asyncio.ensure_future(self._woken.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
