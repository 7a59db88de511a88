"""What is to be told is stored with the alert, whatever stands behind the store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from afterrun_exporter.core.notifications import AlertNotification, DeliveryState, Stage
from afterrun_exporter.core.state import (
    AlertOpened,
    JobState,
    RecentlyResolved,
    Transition,
)
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.group_commit import Lost, Writes
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Change, Store, update
from tests.copies import replace
from tests.fakes import MemoryStore
from tests.storage.decisions import (
    FAILING,
    MISSED,
    T0,
    known,
    moved,
    opened,
    ran,
    resolved,
    unreadable,
)

A, B = "http://a:9093", "http://b:9093"
LABELS = "backup failing critical"
FIRING = DeliveryState(T0, Stage.FIRING, T0 + 1, T0 + 1)
OVER = DeliveryState(T0, Stage.RESOLVED, T0 + 300, T0 + 300)


def announce(job: str, event: AlertOpened) -> AlertNotification:
    """Return the notice of an alert, by labels that say it all."""
    key = event.alert.key
    return AlertNotification(
        labels=f"{job} {key.condition} {event.severity}",
        job=job,
        key=key,
        summary=event.summary,
        opened_at=event.alert.opened_at,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "afterrun.db"


@pytest.fixture
def store(store: Store) -> Store:
    """The one that forgets, then those that do not; all of them record notices."""
    store.outbox.record(announce)
    return store


def stored(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT labels FROM outbox")]


async def test_an_alert_that_opens_is_to_be_told(store: Store) -> None:
    await update(store, "backup", opened(at=T0, summary="it broke"))

    assert store.outbox.notices == {
        LABELS: AlertNotification(
            labels=LABELS, job="backup", key=FAILING, summary="it broke", opened_at=T0
        )
    }


async def test_its_end_is_to_be_told_too(store: Store) -> None:
    """With the time until which its gauge shows it."""
    await update(store, "backup", opened(at=T0))

    def heals(state: JobState | None) -> Transition:
        over = resolved(at=T0 + 5)(state)
        healed = (RecentlyResolved(key=FAILING, until=T0 + 60),)
        return replace(over, state=replace(over.state, healed=healed))

    await update(store, "backup", heals)

    notice = store.outbox.notices[LABELS]
    assert (notice.resolved_at, notice.shown_until) == (T0 + 5, T0 + 60)


async def test_what_opens_and_ends_at_once_is_to_be_told(store: Store) -> None:
    """A run that failed between two looks has failed all the same."""

    def decide(_: JobState | None) -> Transition:
        first = opened(at=T0)(None)
        second = resolved(at=T0 + 1)(first.state)
        return replace(second, alerts=(*first.alerts, *second.alerts))

    await update(store, "backup", decide)

    notice = store.outbox.notices[LABELS]
    assert (notice.opened_at, notice.resolved_at) == (T0, T0 + 1)


async def test_what_opened_by_a_clock_that_was_ahead_is_told_anew(
    store: Store,
) -> None:
    await update(store, "backup", opened(at=T0 + 7200, summary="disk full"))
    await update(store, "backup", moved(T0))

    notice = store.outbox.notices[LABELS]
    assert (notice.opened_at, notice.summary) == (T0, "disk full")
    assert notice.resolved_at is None


async def test_an_end_concerns_one_condition_of_one_job(store: Store) -> None:
    for job in ("backup", "sync"):
        await update(store, job, opened(FAILING))
        await update(store, job, opened(MISSED))

    await update(store, "backup", resolved(FAILING))

    holding = {n.labels for n in store.outbox.notices.values() if n.resolved_at is None}
    assert holding == {
        "backup missed critical",
        "sync failing critical",
        "sync missed critical",
    }


async def test_changes_of_one_call_build_on_each_other(store: Store) -> None:
    """Their notices too: they are committed together."""
    await store.update_all(
        [
            Change("backup", opened(at=T0)),
            Change("backup", unreadable),
            Change("backup", resolved(at=T0 + 1)),
            Change("backup", opened(at=T0 + 2)),
        ]
    )

    notice = store.outbox.notices[LABELS]
    assert (notice.opened_at, notice.resolved_at) == (T0 + 2, None)


async def test_nothing_is_recorded_while_nobody_wants_to_know(store: Store) -> None:
    store.outbox.record(None)

    await update(store, "backup", opened())

    assert store.outbox.notices == {}


async def test_who_listens_hears_of_what_is_committed_and_of_nothing_else(
    store: Store,
) -> None:
    heard: list[list[str]] = []
    store.outbox.record(announce, on_change=lambda labels: heard.append(list(labels)))

    await update(store, "backup", ran())
    await update(store, "backup", opened())
    await update(store, "backup", ran())
    await update(store, "backup", resolved())
    await store.outbox.forget(lambda _: True)

    assert heard == [[LABELS], [LABELS], [LABELS]]


async def test_what_was_told_is_remembered_for_each_alertmanager(store: Store) -> None:
    await update(store, "backup", opened(at=T0))

    await store.outbox.note(A, {LABELS: FIRING}, lambda _: False)

    assert store.outbox.delivery(LABELS, A) == FIRING
    assert store.outbox.delivery(LABELS, B) is None


async def test_what_is_done_with_goes(store: Store) -> None:
    await update(store, "backup", opened(at=T0))
    await update(store, "backup", resolved())

    await store.outbox.note(A, {LABELS: OVER}, lambda n: n.resolved_at is not None)

    assert store.outbox.notices == {}
    assert store.outbox.delivery(LABELS, A) is None


async def test_what_comes_back_while_its_end_is_noted_stays(store: Store) -> None:
    """Whether it is done with is asked when its turn to be written has come."""
    await update(store, "backup", opened(at=T0))
    await update(store, "backup", resolved())

    await asyncio.gather(
        update(store, "backup", opened(at=T0 + 400)),
        store.outbox.note(A, {LABELS: OVER}, lambda n: n.resolved_at is not None),
    )

    notice = store.outbox.notices[LABELS]
    assert (notice.opened_at, notice.resolved_at) == (T0 + 400, None)


async def test_the_wanted_notices_are_the_ones_that_are_open(store: Store) -> None:
    await update(store, "backup", opened(at=T0, summary="it broke"))
    wanted = AlertNotification(labels="new", job="backup", key=FAILING, opened_at=T0)

    await store.outbox.reconcile(["backup", "backup"], lambda _: [wanted], lambda: T0)

    assert store.outbox.notices[LABELS].resolved_at == T0
    assert store.outbox.notices["new"] == replace(wanted, summary="it broke")


async def test_reconciling_does_not_miss_what_is_being_committed(store: Store) -> None:
    """An alert that ends meanwhile does not stay open for ever."""
    await update(store, "backup", opened(at=T0))

    def wanted(job: str) -> list[AlertNotification]:
        return [
            AlertNotification(
                labels="new", job=job, key=alert.key, opened_at=alert.opened_at
            )
            for alert in store.states[job].alerts
        ]

    await asyncio.gather(
        update(store, "backup", resolved()),
        store.outbox.reconcile(["backup"], wanted, lambda: T0),
        update(store, "backup", ran()),
    )

    holding = [n for n in store.outbox.notices.values() if n.resolved_at is None]
    assert holding == []


class FullStore(MemoryStore):
    """A store whose disk is full."""

    async def _write(self, writes: Writes) -> Lost:
        async with self.outbox.recording(writes):
            raise StorageError("no space left on device")


async def test_what_was_not_committed_is_not_told() -> None:
    store = FullStore()
    heard: list[str] = []
    store.outbox.record(announce, on_change=heard.extend)

    with pytest.raises(StorageError):
        await update(store, "backup", opened())

    assert store.outbox.notices == {}
    assert heard == []


async def test_it_is_in_the_database_when_the_ping_is_answered(path: Path) -> None:
    """The process may be killed right after."""
    async with SQLiteStore.open(path) as store:
        store.outbox.record(announce)
        await update(store, "backup", opened())

        assert stored(path) == [LABELS]


async def test_what_is_done_with_is_gone_from_the_database(path: Path) -> None:
    async with SQLiteStore.open(path) as store:
        store.outbox.record(announce)
        await update(store, "backup", opened(at=T0))
        await update(store, "sync", known())
        await update(store, "backup", resolved())
        await store.outbox.note(A, {LABELS: OVER}, lambda _: True)

        assert stored(path) == []


async def test_nobody_is_told_of_what_was_over_before_it_could_be_seen(
    store: Store,
) -> None:
    """A run that failed and the next one, both long ago, and loaded in one batch."""
    at_once = [Change("backup", opened()), Change("backup", over_long_ago)]
    await store.update_all(at_once)

    assert not store.outbox.notices
    (record,) = await store.alerts()
    assert (record.opened_at, record.resolved_at) == (T0, T0 + 60)


async def test_who_was_told_of_it_is_told_that_it_is_over(store: Store) -> None:
    """Between two batches nobody knows that the next run ended well."""
    await update(store, "backup", opened())
    await update(store, "backup", over_long_ago)

    (notice,) = store.outbox.notices.values()
    assert notice.resolved_at == T0 + 60


def over_long_ago(state: JobState | None) -> Transition:
    """Resolve the alert by a report that came a day late."""
    made = resolved()(state)
    return replace(made, state=replace(made.state, last_ping_at=T0 + 86_400))
