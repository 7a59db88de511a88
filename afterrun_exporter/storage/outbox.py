"""What Alertmanagers are to be told: stored with the alerts, kept in memory as well."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.notifications import (
    AlertNotification,
    DeliveryState,
    Stage,
    is_history,
    moved,
    reconciled,
    resolved,
)
from afterrun_exporter.core.state import (
    AlertKey,
    AlertMoved,
    AlertOpened,
    AlertResolved,
    Transition,
)
from afterrun_exporter.storage.codec import UnreadableRowError

#: Jobs that are looked at in one transaction, so that pings get their turn.
STEP: Final = 500

#: Makes the notice of an alert that a job opened.
Announce = Callable[[str, AlertOpened], AlertNotification]

Writes = Sequence[tuple[str, Transition]]

#: What an outbox is made from: the notices, and for each what has been told.
Outboxed = tuple[list[AlertNotification], dict[str, dict[str, DeliveryState]]]

_SAVE = """
INSERT INTO outbox
    (labels, job, condition, rule, summary, opened_at, resolved_at, shown_until)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (labels) DO UPDATE
SET job = excluded.job, condition = excluded.condition, rule = excluded.rule,
    summary = excluded.summary, opened_at = excluded.opened_at,
    resolved_at = excluded.resolved_at, shown_until = excluded.shown_until
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be written of an outbox."""

    notices: tuple[AlertNotification, ...] = ()
    #: For each label set, what each Alertmanager has been told.
    told: Mapping[str, Mapping[str, DeliveryState]] = field(default_factory=dict)
    gone: tuple[str, ...] = ()


class Outbox:
    """The notices as committed, and what each Alertmanager has been told of them."""

    def __init__(
        self,
        write: Callable[[Changes], Awaitable[object]],
        notices: Iterable[AlertNotification] = (),
        told: Mapping[str, Mapping[str, DeliveryState]] | None = None,
    ) -> None:
        self._write = write
        self._notices: dict[str, AlertNotification] = {}
        self._of: dict[str, set[str]] = {}
        self._told = {labels: dict(by) for labels, by in (told or {}).items()}
        self._announce: Announce | None = None
        self._on_change: Callable[[Iterable[str]], None] = lambda _: None
        # What is written is worked out from what is committed.
        self._one_at_a_time = asyncio.Lock()
        self._keep(notices)

    @property
    def notices(self) -> Mapping[str, AlertNotification]:
        """The committed notices, by their labels: a live view."""
        return self._notices

    def told(self, labels: str, alertmanager: str) -> DeliveryState | None:
        """Return what *alertmanager* was last told of *labels*."""
        return self._told.get(labels, {}).get(alertmanager)

    def record(
        self,
        announce: Announce | None,
        on_change: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        """Write notices with the alerts from now on; with None, none any more.

        *on_change* is called with the labels of those that changed or went, right
        after the commit.
        """
        self._announce = announce
        self._on_change = on_change

    @asynccontextmanager
    async def recording(self, writes: Writes) -> AsyncIterator[Changes]:
        """Yield what *writes* mean for the outbox, to be committed with them.

        It is kept when the block ends without an error.
        """
        async with self._one_at_a_time:
            changes = Changes(notices=tuple(self._news(writes)))
            yield changes
            self._keep(changes.notices)

    async def reconcile(
        self,
        jobs: Iterable[str],
        wanted: Callable[[str], list[AlertNotification]],
        now: Callable[[], float],
    ) -> None:
        """See to it that of each of *jobs* the *wanted* notices are open, no others.

        Raises StorageError when that cannot be written.
        """
        names = list(dict.fromkeys(jobs))
        for at in range(0, len(names), STEP):
            async with self._one_at_a_time:
                changed = [
                    notice
                    for job in names[at : at + STEP]
                    for notice in reconciled(self._held(job), wanted(job), now())
                ]
                if changed:
                    await self._write(Changes(notices=tuple(changed)))
                    self._keep(changed)

    async def note(
        self,
        alertmanager: str,
        news: Mapping[str, DeliveryState],
        is_done: Callable[[AlertNotification], bool],
    ) -> None:
        """Remember what *alertmanager* was told; drop what is done with.

        Raises StorageError when that cannot be written. It is remembered all the
        same: it has been told.
        """
        for labels, told in news.items():
            self._told.setdefault(labels, {})[alertmanager] = told
        async with self._one_at_a_time:
            known = [labels for labels in news if labels in self._notices]
            gone = tuple(one for one in known if is_done(self._notices[one]))
            told_of = {one: dict(self._told[one]) for one in known if one not in gone}
            for labels in news.keys() - set(known):
                self._told.pop(labels, None)
            await self._write(Changes(told=told_of, gone=gone))
            self._drop(gone)

    def renewed(self, alertmanager: str, told: Mapping[str, DeliveryState]) -> None:
        """Remember when *alertmanager* was told the same again; a crash forgets it."""
        for labels in told.keys() & self._notices.keys():
            self._told.setdefault(labels, {})[alertmanager] = told[labels]

    async def forget(self, is_done: Callable[[AlertNotification], bool]) -> None:
        """Drop what is done with; raises StorageError when that cannot be written."""
        async with self._one_at_a_time:
            gone = tuple(
                one for one, notice in self._notices.items() if is_done(notice)
            )
            if gone:
                await self._write(Changes(gone=gone))
                self._drop(gone)

    def _news(self, writes: Writes) -> Iterable[AlertNotification]:
        if self._announce is None:
            return ()
        news: dict[str, AlertNotification] = {}
        opened: set[str] = set()
        for job, transition in writes:
            for event in transition.alerts:
                if isinstance(event, AlertOpened):
                    notice = self._announce(job, event)
                    # It may have been open under other labels.
                    ended = AlertResolved(event.key, event.alert.shown_at)
                    held = self._known(job, news)
                    held.pop(notice.labels, None)
                elif isinstance(event, AlertMoved):
                    put_back = moved(self._known(job, news).values(), event)
                    news |= {one.labels: one for one in put_back}
                    continue
                else:
                    notice, ended, held = None, event, self._known(job, news)
                over = resolved(held.values(), ended, transition.state)
                news |= {one.labels: one for one in over}
                if notice is not None:
                    news[notice.labels] = notice
                    opened.add(notice.labels)
                elif is_history(ended, transition.state):
                    for labels in opened & {one.labels for one in over}:
                        del news[labels]
        return news.values()

    def _known(
        self, job: str, news: Mapping[str, AlertNotification]
    ) -> dict[str, AlertNotification]:
        """Return the notices of *job* by their labels, as *news* leaves them."""
        known = {one.labels: one for one in self._held(job)}
        return known | {one.labels: one for one in news.values() if one.job == job}

    def _held(self, job: str) -> list[AlertNotification]:
        return [self._notices[labels] for labels in self._of.get(job, ())]

    def _keep(self, notices: Iterable[AlertNotification]) -> None:
        changed = []
        for notice in notices:
            self._notices[notice.labels] = notice
            self._of.setdefault(notice.job, set()).add(notice.labels)
            changed.append(notice.labels)
        if changed:
            self._on_change(changed)

    def _drop(self, gone: Sequence[str]) -> None:
        for labels in gone:
            notice = self._notices.pop(labels)
            self._told.pop(labels, None)
            others = self._of[notice.job]
            others.discard(labels)
            if not others:
                del self._of[notice.job]
        self._on_change(gone)


def save(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write *changes*, inside a transaction of the caller."""
    connection.executemany(_SAVE, [_row(notice) for notice in changes.notices])
    connection.executemany(
        "UPDATE outbox SET told = ? WHERE labels = ?",
        [(_encode(told), labels) for labels, told in changes.told.items()],
    )
    connection.executemany(
        "DELETE FROM outbox WHERE labels = ?", [(labels,) for labels in changes.gone]
    )


def load(connection: sqlite3.Connection) -> Outboxed:
    """Return what is stored: the notices, and for each what has been told."""
    rows = connection.execute(
        "SELECT labels, job, condition, rule, summary, opened_at, resolved_at, "
        "shown_until, told FROM outbox"
    ).fetchall()
    decoded = [_decoded(*row) for row in rows]
    notices = [notice for notice, _ in decoded]
    return notices, {notice.labels: told for notice, told in decoded}


def _decoded(
    labels: str,
    job: str,
    condition: str,
    rule: str,
    summary: str,
    opened_at: float,
    resolved_at: float | None,
    shown_until: float,
    told: str,
) -> tuple[AlertNotification, dict[str, DeliveryState]]:
    try:
        notice = AlertNotification(
            labels=labels,
            job=job,
            key=AlertKey(Condition(condition), rule),
            summary=summary,
            opened_at=opened_at,
            resolved_at=resolved_at,
            shown_until=shown_until,
        )
        return notice, _decode(told)
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableRowError("alert", job, error) from error


def _row(notice: AlertNotification) -> tuple[object, ...]:
    key = notice.key
    return (
        notice.labels,
        notice.job,
        key.condition,
        key.rule,
        notice.summary,
        notice.opened_at,
        notice.resolved_at,
        notice.shown_until,
    )


def _encode(told: Mapping[str, DeliveryState]) -> str:
    # What was refused is tried again after a restart: the other side may be newer.
    return json.dumps(
        {
            alertmanager: [one.opened_at, one.stage, one.since]
            for alertmanager, one in told.items()
            if one.stage is not Stage.REFUSED
        }
    )


def _decode(text: str) -> dict[str, DeliveryState]:
    return {
        alertmanager: DeliveryState(opened_at, Stage(stage), since, since)
        for alertmanager, (opened_at, stage, since) in json.loads(text).items()
    }
