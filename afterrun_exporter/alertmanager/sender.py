"""Tells one Alertmanager everything, in its own time: another one may be down."""

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
from afterrun_exporter.core.notifications import (
    AlertNotification,
    Delays,
    DeliveryState,
    Stage,
    Step,
    next_step,
    noted_later,
)
from afterrun_exporter.engine.wakeup_queue import WakeupQueue
from afterrun_exporter.errors import AlertsRefusedError, PushError
from afterrun_exporter.storage.outbox import Outbox

#: Alerts in one post.
BATCH: Final = 500

#: The longest pause after a failed post, and after a series of them.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """What may change while alerts are being told."""

    url: str
    delays: Delays
    lifetime: float
    #: Where the daemon is; "" when that is not known.
    external_url: str = ""
    #: The page on what to do about a job; "" for the one on its alert.
    runbook: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class PendingPost:
    """A notice as it is being told."""

    notice: AlertNotification
    step: Step


#: Writes down what an Alertmanager was told.
TakeNote = Callable[[str, Mapping[str, DeliveryState]], Awaitable[None]]


class AlertmanagerSender:
    """Tells one Alertmanager what it does not know, and again what would expire."""

    def __init__(
        self,
        name: str,
        terms: SenderSettings,
        outbox: Outbox,
        clock: Clock,
        post: Post,
        jitter: Callable[[float], float],
        take_note: TakeNote,
    ) -> None:
        #: Its URL as it may be shown.
        self.name = name
        self.terms = terms
        #: Posts by what became of them.
        self.posts: Counter[str] = Counter(ok=0, failed=0)
        self._outbox = outbox
        self._clock = clock
        self._post = post
        self._jitter = jitter
        self._take_note = take_note
        self._wakeups = WakeupQueue()
        #: What is due, in the order in which it became so.
        self._news: dict[str, Step] = {}
        self._renewals: dict[str, Step] = {}
        self._failures = 0
        self._retry_at = -math.inf
        self._woken = asyncio.Event()
        #: When it last looked. What is stored may be of any clock.
        self._looked_at = math.inf

    def look_at(self, changed: Iterable[str]) -> None:
        """See what is to be told of these label sets, at the next opportunity."""
        for labels in changed:
            self._wakeups.plan(labels, -math.inf)
        self._woken.set()

    def waiting(self) -> int:
        """Return how many alerts have news that has not been taken yet."""
        self._sort(self._clock.now())
        return len(self._news)

    def next_step(self, notice: AlertNotification) -> Step | None:
        """Return what is to be told of *notice* next; None for nothing any more."""
        told = self._outbox.told(notice.labels, self.name)
        return next_step(notice, told, self.terms.delays, self._clock.now())

    async def run(self) -> None:
        """Tell it whatever becomes due, until cancelled."""
        while True:
            try:
                await self._run_once()
            except Exception as error:
                log.exception("push_failed", alertmanager=self.name)
                self._failed(error)
                await self._sleep_until(self._retry_at)

    async def _run_once(self) -> None:
        self._woken.clear()
        now = self._clock.now()
        if now < self._looked_at:
            self._plan_anew(now)
        self._looked_at = now
        self._sort(now)
        is_due = bool(self._news or self._renewals)
        if is_due and now >= self._retry_at:
            await self._deliver(now)
        else:
            await self._sleep_until(
                min(self._wakeups.next(), self._retry_at if is_due else math.inf)
            )

    def _plan_anew(self, now: float) -> None:
        """Plan by a clock that was set back: nothing waits for the old time."""
        notices = self._outbox.notices
        noted: dict[str, DeliveryState] = {}
        for labels, notice in notices.items():
            told = self._outbox.told(labels, self.name)
            if told is not None and (late := noted_later(notice, told, now)):
                noted[labels] = late
        self._outbox.renewed(self.name, noted)
        self._retry_at = min(self._retry_at, now)
        self._wakeups = WakeupQueue()
        self.look_at(notices)

    def _sort(self, now: float) -> None:
        for labels in self._wakeups.take_due(now):
            self._news.pop(labels, None)
            self._renewals.pop(labels, None)
            notice = self._outbox.notices.get(labels)
            step = self.next_step(notice) if notice else None
            if step is None:
                continue
            if step.at > now:
                self._wakeups.plan(labels, step.at)
            else:
                (self._news if step.is_news else self._renewals)[labels] = step

    async def _deliver(self, now: float) -> None:
        due = islice(chain(self._news.items(), self._renewals.items()), BATCH)
        notices = self._outbox.notices
        batches = [[PendingPost(notices[labels], step) for labels, step in due]]
        while batches:
            batch = batches.pop()
            try:
                await self._post(self.terms.url, [self._message(e, now) for e in batch])
            except AlertsRefusedError as error:
                self.posts["failed"] += 1
                if len(batch) > 1:
                    # Alertmanager does not say which: find out.
                    half = len(batch) // 2
                    batches += [batch[half:], batch[:half]]
                else:
                    await self._refused(batch[0], error, now)
            except PushError as error:
                self._failed(error)
                return
            else:
                self._succeeded()
                await self._taken(batch, now)

    def _message(self, errand: PendingPost, now: float) -> dict[str, Any]:
        expires_at = now + self.terms.lifetime
        url = self.terms.external_url
        return message(
            errand.notice,
            errand.step.stage,
            now,
            expires_at,
            url,
            self.terms.runbook(errand.notice.job),
        )

    async def _taken(self, batch: list[PendingPost], now: float) -> None:
        news: dict[str, DeliveryState] = {}
        renewals: dict[str, DeliveryState] = {}
        for errand in batch:
            notice, step = errand.notice, errand.step
            before = self._outbox.told(notice.labels, self.name)
            since = now if step.is_news or before is None else before.since
            told = DeliveryState(notice.opened_at, step.stage, since, now)
            (news if step.is_news else renewals)[notice.labels] = told
        self._outbox.renewed(self.name, renewals)
        if news:
            await self._take_note(self.name, news)
        self.look_at(errand.notice.labels for errand in batch)

    async def _refused(
        self, errand: PendingPost, error: AlertsRefusedError, now: float
    ) -> None:
        notice = errand.notice
        log.error(
            "alert_refused",
            alertmanager=self.name,
            labels=notice.labels,
            error=str(error),
        )
        told = DeliveryState(notice.opened_at, Stage.REFUSED, now, now)
        await self._take_note(self.name, {notice.labels: told})
        self.look_at([notice.labels])

    def _failed(self, error: Exception) -> None:
        self.posts["failed"] += 1
        if not self._failures:
            log.warning("push_failing", alertmanager=self.name, error=str(error))
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = self._clock.now() + self._jitter(longest)

    def _succeeded(self) -> None:
        self.posts["ok"] += 1
        if self._failures:
            log.info("push_recovered", alertmanager=self.name, failed=self._failures)
        self._failures = 0
        self._retry_at = -math.inf

    async def _sleep_until(self, when: float) -> None:
        naps = [
            asyncio.ensure_future(self._clock.sleep_until(when)),
            asyncio.ensure_future(self._woken.wait()),
        ]
        try:
            await asyncio.wait(naps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for nap in naps:
                nap.cancel()
