"""Alert notifications for Alertmanagers: stored with the alerts, and kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Final

from afterrun_exporter.core.alerts import UPSTREAM_UNHEALTHY
from afterrun_exporter.core.notifications import (
    AlertNotification,
    DeliveryState,
    is_history,
    may_wait,
    moved,
    not_held_back,
    reconciled,
    resolved,
)
from afterrun_exporter.core.state import (
    AlertKey,
    AlertMoved,
    AlertOpened,
    AlertResolved,
    JobState,
    Transition,
)

#: Jobs to check in one transaction, so that pings are not delayed.
STEP: Final = 500

#: Creates the notification of an alert that a job opened.
Announce = Callable[[str, AlertOpened], AlertNotification]
#: Creates the notifications of all open alerts of a job.
Holding = Callable[[str, JobState], Sequence[AlertNotification]]

#: Writes changes; returns jobs that another replica has changed, unless that is None.
#: Their notifications are not written.
Write = Callable[["Changes"], Awaitable[Collection[str] | None]]

Writes = Sequence[tuple[str, Transition]]

_job = itemgetter(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes of the outbox to write."""

    notices: tuple[AlertNotification, ...] = ()
    #: For each label set, the state of its delivery to each Alertmanager.
    deliveries: Mapping[str, Mapping[str, DeliveryState]] = field(default_factory=dict)
    #: Notifications to delete, unless their times in the database are others: another
    #: replica may have opened the alert again.
    removed: tuple[AlertNotification, ...] = ()


@dataclass(slots=True)
class Recording:
    """Changes of the outbox that are being written together with transitions."""

    changes: Changes
    #: Jobs that were not written after all, to be set by the writer. It must not write
    #: their notifications either.
    losers: Collection[str] = ()


class Outbox:
    """The committed notifications, and the state of their delivery to Alertmanagers."""

    def __init__(
        self,
        write: Write,
        notices: Iterable[AlertNotification] = (),
        deliveries: Mapping[str, Mapping[str, DeliveryState]] | None = None,
    ) -> None:
        self._write = write
        self._notices: dict[str, AlertNotification] = {}
        self._labels_of: dict[str, set[str]] = {}
        self._deliveries = {
            labels: dict(by) for labels, by in (deliveries or {}).items()
        }
        self._announce: Announce | None = None
        self._holding: Holding = lambda _job, _state: ()
        #: The texts of alerts that are held back, by job. They are not stored.
        self._held_back_texts: dict[str, dict[AlertKey, str]] = {}
        self._on_change: Callable[[Iterable[str]], None] = lambda _: None
        # Changes are computed from the committed notifications, so one at a time.
        self._one_at_a_time = asyncio.Lock()
        self._apply(notices)

    @property
    def notices(self) -> Mapping[str, AlertNotification]:
        """The committed notifications, by their labels: a live view."""
        return self._notices

    def delivery(self, labels: str, alertmanager: str) -> DeliveryState | None:
        """Return the last state of the delivery of *labels* to *alertmanager*."""
        return self._deliveries.get(labels, {}).get(alertmanager)

    def record(
        self,
        announce: Announce | None,
        holding: Holding = lambda _job, _state: (),
        on_change: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        """Write notifications with the alerts from now on; with None, stop doing so.

        *on_change* is called with the labels of changed and removed ones, right after
        the commit.
        """
        self._announce = announce
        self._holding = holding
        self._on_change = on_change

    @asynccontextmanager
    async def recording(self, writes: Writes) -> AsyncIterator[Recording]:
        """Yield the outbox changes for *writes*, to commit together with them.

        The changes are applied in memory if the block ends without an error, but for
        those of the losers.
        """
        async with self._one_at_a_time:
            texts: dict[str, dict[AlertKey, str]] = {}
            notices = tuple(self._news(writes, texts))
            recording = Recording(Changes(notices=notices))
            yield recording
            if losers := recording.losers:
                notices = tuple(one for one in notices if one.job not in losers)
                texts = {job: one for job, one in texts.items() if job not in losers}
            for job, held_back in texts.items():
                self._held_back_texts.pop(job, None)
                if held_back:
                    self._held_back_texts[job] = held_back
            self._apply(notices)

    def replace(
        self, jobs: Collection[str], notices: Iterable[AlertNotification]
    ) -> None:
        """Replace the notifications of *jobs* by those that other replicas committed.

        Call it together with the change of the states of these jobs in memory.
        """
        by_labels = {one.labels: one for one in notices}
        before = [one for job in jobs for one in self._notices_of(job)]
        self._drop([one for one in before if one.labels not in by_labels])
        self._apply(
            one for labels, one in by_labels.items() if self._notices.get(labels) != one
        )

    def load_deliveries(
        self, deliveries: Mapping[str, Mapping[str, DeliveryState]]
    ) -> None:
        """Replace what is known of deliveries by what another replica has stored."""
        self._deliveries = {
            labels: dict(by)
            for labels, by in deliveries.items()
            if labels in self._notices
        }
        self._on_change(tuple(self._notices))

    async def reconcile(
        self,
        jobs: Iterable[str],
        expected: Callable[[str], Sequence[AlertNotification]],
        now: Callable[[], float],
    ) -> set[str]:
        """Open the *expected* notifications of each of *jobs*, and resolve all others.

        Returns the jobs that another replica has changed, so that more may be known of
        them soon: nothing is done for these. Raises StorageError if the changes cannot
        be written.
        """
        overtaken: set[str] = set()
        names = list(dict.fromkeys(jobs))
        for at in range(0, len(names), STEP):
            async with self._one_at_a_time:
                changed = [
                    notice
                    for job in names[at : at + STEP]
                    for notice in reconciled(
                        self._notices_of(job),
                        self._to_post(job, expected(job)),
                        now(),
                    )
                ]
                if changed:
                    before = {
                        one.labels: self._notices.get(one.labels) for one in changed
                    }
                    overtaken_jobs = (
                        await self._write(Changes(notices=tuple(changed))) or ()
                    )
                    overtaken.update(overtaken_jobs)
                    # Another replica may have changed some of them meanwhile.
                    self._apply(
                        one
                        for one in changed
                        if one.job not in overtaken_jobs
                        and self._notices.get(one.labels) is before[one.labels]
                    )
        return overtaken

    async def note(
        self,
        alertmanager: str,
        news: Mapping[str, DeliveryState],
        is_done: Callable[[AlertNotification], bool],
    ) -> None:
        """Record deliveries to *alertmanager*; drop notifications that are finished.

        Raises StorageError if that cannot be written; they are recorded in memory even
        then, because they were delivered.
        """
        for labels, state in news.items():
            self._deliveries.setdefault(labels, {})[alertmanager] = state
        async with self._one_at_a_time:
            current = {one: self._notices[one] for one in news if one in self._notices}
            removed = tuple(filter(is_done, current.values()))
            finished = {one.labels for one in removed}
            deliveries = {
                one: dict(self._deliveries.setdefault(one, {alertmanager: news[one]}))
                for one in current
                if one not in finished
            }
            for labels in news.keys() - current.keys():
                self._deliveries.pop(labels, None)
            await self._write(Changes(deliveries=deliveries, removed=removed))
            self._drop(removed)

    def renewed(self, alertmanager: str, states: Mapping[str, DeliveryState]) -> None:
        """Record repeated deliveries to *alertmanager*, in memory only."""
        for labels in states.keys() & self._notices.keys():
            self._deliveries.setdefault(labels, {})[alertmanager] = states[labels]

    async def forget(self, is_done: Callable[[AlertNotification], bool]) -> None:
        """Drop finished notifications; raises StorageError if it cannot be written."""
        async with self._one_at_a_time:
            removed = tuple(filter(is_done, self._notices.values()))
            if removed:
                await self._write(Changes(removed=removed))
                self._drop(removed)

    def _news(
        self, writes: Writes, texts: dict[str, dict[AlertKey, str]]
    ) -> Iterable[AlertNotification]:
        """Return the notifications that change by *writes*.

        Adds the new texts of alerts that are held back to *texts*.
        """
        if self._announce is None:
            return ()
        news: dict[str, AlertNotification] = {}
        new_labels: set[str] = set()
        for job, transition in writes:
            for event in transition.alerts:
                if isinstance(event, AlertOpened):
                    notice = self._announce(job, event)
                    # It may have been open under other labels.
                    event_end = AlertResolved(event.key, event.alert.shown_at)
                    current = self._notices_after(job, news)
                    current.pop(notice.labels, None)
                elif isinstance(event, AlertMoved):
                    moved_back = moved(self._notices_after(job, news).values(), event)
                    news |= {one.labels: one for one in moved_back}
                    continue
                else:
                    notice, event_end, current = (
                        None,
                        event,
                        self._notices_after(job, news),
                    )
                resolved_notices = resolved(
                    current.values(), event_end, transition.state
                )
                news |= {one.labels: one for one in resolved_notices}
                if notice is not None:
                    news[notice.labels] = notice
                    new_labels.add(notice.labels)
                elif is_history(event_end, transition.state):
                    for labels in new_labels & {one.labels for one in resolved_notices}:
                        del news[labels]
        changed = sorted((one for one in writes if one[1].alerts), key=_job)
        for job, transitions in groupby(changed, _job):
            self._hold_back(job, [one for _, one in transitions], news, texts)
        return news.values()

    def _hold_back(
        self,
        job: str,
        transitions: Sequence[Transition],
        news: dict[str, AlertNotification],
        texts: dict[str, dict[AlertKey, str]],
    ) -> None:
        """Remove alerts that are held back from *news*, and add those released."""
        state = transitions[-1].state
        waits = any(alert.key == UPSTREAM_UNHEALTHY for alert in state.alerts)
        events = (event for transition in transitions for event in transition.alerts)
        if not waits and not any(event.key == UPSTREAM_UNHEALTHY for event in events):
            return
        posted = self._posted(job)
        for labels, notice in self._notices_after(job, news).items():
            is_new = labels in news and notice.key not in posted
            if is_new and notice.resolved_at is not None and may_wait(notice.key):
                # It began and ended while the job waited.
                del news[labels]
        after = self._notices_after(job, news)
        if waits:
            open_ones = [one for one in after.values() if one.resolved_at is None]
            to_post = {one.labels for one in not_held_back(open_ones, posted)}
            held_back = texts[job] = {**self._held_back_texts.get(job, {})}
            for labels in {one.labels for one in open_ones} - to_post:
                notice = news.pop(labels)
                held_back[notice.key] = notice.summary
        else:
            texts[job] = {}
            summaries = self._held_back_texts.get(job, {})
            for one in self._holding(job, state):
                current = after.get(one.labels)
                if current is None or current.resolved_at is not None:
                    news[one.labels] = replace(one, summary=summaries.get(one.key, ""))

    def _to_post(
        self, job: str, holding: Sequence[AlertNotification]
    ) -> Sequence[AlertNotification]:
        if not any(notice.key == UPSTREAM_UNHEALTHY for notice in holding):
            return holding
        return not_held_back(holding, self._posted(job))

    def _posted(self, job: str) -> set[AlertKey]:
        return {one.key for one in self._notices_of(job) if one.resolved_at is None}

    def _notices_after(
        self, job: str, news: Mapping[str, AlertNotification]
    ) -> dict[str, AlertNotification]:
        """Return the notifications of *job* by their labels, with *news* applied."""
        current = {one.labels: one for one in self._notices_of(job)}
        return current | {one.labels: one for one in news.values() if one.job == job}

    def _notices_of(self, job: str) -> list[AlertNotification]:
        return [self._notices[labels] for labels in self._labels_of.get(job, ())]

    def _apply(self, notices: Iterable[AlertNotification]) -> None:
        changed = []
        for notice in notices:
            self._notices[notice.labels] = notice
            self._labels_of.setdefault(notice.job, set()).add(notice.labels)
            changed.append(notice.labels)
        if changed:
            self._on_change(changed)

    def _drop(self, notices: Iterable[AlertNotification]) -> None:
        removed = []
        for notice in notices:
            labels = notice.labels
            if self._notices.get(labels) is not notice:
                # Another replica has changed it meanwhile.
                continue
            removed.append(labels)
            del self._notices[labels]
            self._deliveries.pop(labels, None)
            others = self._labels_of[notice.job]
            others.discard(labels)
            if not others:
                del self._labels_of[notice.job]
        self._on_change(removed)
