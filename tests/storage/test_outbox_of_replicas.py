"""Notifications that several replicas change: only committed ones, and none is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from afterrun_exporter.core.alerts import UPSTREAM_UNHEALTHY
from afterrun_exporter.core.notifications import AlertNotification, DeliveryState, Stage
from afterrun_exporter.core.state import (
    AlertKey,
    AlertOpened,
    AlertResolved,
    OpenAlert,
    Transition,
)
from afterrun_exporter.storage.outbox import Changes, Outbox
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.copies import replace
from tests.storage.decisions import FAILING, MISSED, T0, fresh, opened, resolved

A = "http://a:9093"
FIRING = DeliveryState(T0, Stage.FIRING, T0 + 1, T0 + 1)


def notice(job: str, key: AlertKey = FAILING, summary: str = "") -> AlertNotification:
    labels = f"{job} {key.condition}"
    return AlertNotification(
        labels=labels, job=job, key=key, summary=summary, opened_at=T0
    )


def announce(job: str, event: AlertOpened) -> AlertNotification:
    return notice(job, event.key, event.summary)


class Table:
    """The table of the database, in which another replica may be faster."""

    def __init__(self) -> None:
        self.changes: list[Changes] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def write(self, changes: Changes) -> None:
        self.meanwhile()
        self.changes.append(changes)


class Listener:
    """Notes which labels have changed."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    def __call__(self, labels: Iterable[str]) -> None:
        self.labels += sorted(labels)

    def heard(self) -> list[str]:
        labels, self.labels = self.labels, []
        return labels


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def outbox(table: Table, listener: Listener) -> Outbox:
    outbox = Outbox(table.write)
    outbox.record(announce, on_change=listener)
    return outbox


def summaries(outbox: Outbox) -> dict[str, str]:
    return {labels: one.summary for labels, one in outbox.notices.items()}


async def commit(
    outbox: Outbox, *writes: tuple[str, Transition], lost: str = ""
) -> None:
    async with outbox.recording(writes) as recording:
        recording.losers = lost.split()


async def test_a_job_that_was_not_written_has_no_notification(
    outbox: Outbox, listener: Listener
) -> None:
    both = [("a", opened()(None)), ("b", opened()(None))]
    await commit(outbox, *both, lost="a")

    assert [*outbox.notices] == ["b failing"]
    assert listener.heard() == ["b failing"]


def waiting(summary: str) -> Transition:
    """Return the opening of an alert that is held back, because of a required job."""
    alerts = [
        OpenAlert(key=key, opened_at=T0, shown_at=T0)
        for key in (UPSTREAM_UNHEALTHY, MISSED)
    ]
    events = [AlertOpened(alert, "critical", summary) for alert in alerts]
    return Transition(state=fresh(alerts=tuple(alerts)), alerts=tuple(events))


def healed() -> Transition:
    """Return the end of the wait for the required job."""
    alert = OpenAlert(key=MISSED, opened_at=T0, shown_at=T0)
    event = AlertResolved(UPSTREAM_UNHEALTHY, T0 + 60)
    return Transition(state=fresh(alerts=(alert,)), alerts=(event,))


async def test_the_text_of_an_alert_that_is_held_back_is_the_committed_one(
    outbox: Outbox, listener: Listener
) -> None:
    outbox.record(announce, lambda job, _: [notice(job, MISSED)], listener)
    await commit(outbox, ("a", waiting("decided too late")), lost="a")
    await commit(outbox, ("a", healed()), lost="a")
    await commit(outbox, ("b", waiting("it did not run")))
    await commit(outbox, ("b", healed()), lost="b")
    assert summaries(outbox) == {}

    await commit(outbox, ("a", healed()), ("b", healed()))

    assert summaries(outbox) == {"a missed": "", "b missed": "it did not run"}


async def test_notifications_of_another_replica_replace_those_of_their_jobs(
    outbox: Outbox, listener: Listener
) -> None:
    both = [("a", opened()(None)), ("a", opened(MISSED)(None)), ("b", opened()(None))]
    await commit(outbox, *both)
    await outbox.note(A, {"a missed": FIRING, "a failing": FIRING}, lambda _: False)
    listener.heard()

    ended = replace(outbox.notices["a failing"], resolved_at=T0 + 9)
    outbox.replace(["a", "c"], [ended, notice("c")])

    assert outbox.notices == {
        "a failing": ended,
        "b failing": notice("b", summary="it broke"),
        "c failing": notice("c"),
    }
    assert sorted(listener.heard()) == ["a failing", "a missed", "c failing"]
    assert outbox.delivery("a missed", A) is None
    assert outbox.delivery("a failing", A) == FIRING


async def test_equal_notifications_are_no_news(
    outbox: Outbox, listener: Listener
) -> None:
    await commit(outbox, ("a", opened()(None)))
    listener.heard()

    outbox.replace(["a"], [replace(outbox.notices["a failing"])])

    assert listener.heard() == []


async def test_a_new_leader_continues_the_deliveries_of_the_one_before(
    outbox: Outbox, listener: Listener
) -> None:
    await commit(outbox, ("a", opened()(None)), ("b", opened()(None)))
    outbox.renewed(A, {"b failing": FIRING})
    listener.heard()

    outbox.load_deliveries({"a failing": {A: FIRING}, "unknown": {A: FIRING}})

    assert outbox.delivery("a failing", A) == FIRING
    assert outbox.delivery("b failing", A) is None
    assert outbox.delivery("unknown", A) is None
    assert listener.heard() == ["a failing", "b failing"]


async def test_an_alert_that_was_opened_again_meanwhile_is_not_removed(
    outbox: Outbox, table: Table
) -> None:
    await commit(outbox, ("a", opened()(None)))
    await commit(outbox, ("a", resolved()(None)))
    (before,) = outbox.notices.values()
    again = replace(before, opened_at=T0 + 400, resolved_at=None)
    table.meanwhile = lambda: outbox.replace(["a"], [again])

    over = replace(FIRING, stage=Stage.RESOLVED)
    await outbox.note(A, {"a failing": over}, lambda one: one.resolved_at is not None)

    assert outbox.notices == {"a failing": again}
    assert [one.removed for one in table.changes] == [(before,)]
    await outbox.forget(lambda _: True)
    assert table.changes[-1].removed == (again,)


async def test_a_delivery_is_kept_that_is_noted_while_its_alert_is_replaced(
    outbox: Outbox, table: Table
) -> None:
    """The row may have gone, and another one come with the same labels."""
    await commit(outbox, ("a", opened()(None)))

    def replace_twice() -> None:
        table.meanwhile = lambda: None
        outbox.replace(["a"], [])
        outbox.replace(["a"], [notice("a")])

    table.meanwhile = replace_twice
    await asyncio.gather(
        outbox.reconcile(["a"], lambda _: [], lambda: T0),
        outbox.note(A, {"a failing": FIRING}, lambda _: False),
    )

    assert outbox.delivery("a failing", A) == FIRING
    assert table.changes[-1].deliveries == {"a failing": {A: FIRING}}


async def test_a_notification_that_changed_meanwhile_is_not_reconciled(
    outbox: Outbox, table: Table
) -> None:
    await commit(outbox, ("a", opened()(None)))
    again = replace(outbox.notices["a failing"], opened_at=T0 + 400)
    table.meanwhile = lambda: outbox.replace(["a"], [again])

    await outbox.reconcile(["a"], lambda _: [], lambda: T0)

    assert outbox.notices == {"a failing": again}


async def test_a_row_of_other_times_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "afterrun.db"
    async with SQLiteStore.open(path) as store:
        store.outbox.record(announce)
        for job in ("a", "b", "c"):
            await update(store, job, opened())
        await update(store, "c", resolved())
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE outbox SET opened_at = 7 WHERE job = 'a'")
        await store.outbox.forget(lambda _: True)

        assert store.outbox.notices == {}
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT job FROM outbox").fetchall()
        assert rows == [("a",)]
