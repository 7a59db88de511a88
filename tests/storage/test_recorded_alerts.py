"""Alerts are recorded with their times, by every store alike."""

from __future__ import annotations

from typing import Any

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.storage.store import (
    AlertFilter,
    AlertRecord,
    Store,
    update,
)
from tests.copies import replace
from tests.storage.decisions import (
    FAILING,
    MISSED,
    T0,
    moved,
    opened,
    resolved,
)


async def test_an_alert_is_open_until_it_is_resolved(store: Store) -> None:
    """The record keeps both times, and what opened it."""
    await update(store, "backup", opened(at=T0, summary="it broke"))
    as_opened = await store.alerts()

    await update(store, "backup", resolved(at=T0 + 60))

    record = AlertRecord(
        job="backup",
        key=FAILING,
        severity="critical",
        summary="it broke",
        opened_at=T0,
        resolved_at=None,
        run=3,
    )
    assert as_opened == [record]
    assert await store.alerts() == [replace(record, resolved_at=T0 + 60)]


async def test_an_alert_opened_and_resolved_at_once_is_kept(store: Store) -> None:
    """What happens between two scrapes has happened all the same."""

    def decide(_: JobState | None) -> Transition:
        first = opened(at=T0)(None)
        second = resolved(at=T0 + 1)(first.state)
        return replace(second, alerts=(*first.alerts, *second.alerts))

    await update(store, "backup", decide)

    (record,) = await store.alerts(AlertFilter(job="backup"))
    assert (record.opened_at, record.resolved_at) == (T0, T0 + 1)


async def test_one_condition_is_one_alert(store: Store) -> None:
    """Opening it again while it is open adds nothing."""
    await update(store, "backup", opened(at=T0, summary="the first"))
    await update(store, "backup", opened(at=T0 + 5, summary="the second"))

    assert [record.summary for record in await store.alerts()] == ["the first"]


async def test_a_condition_that_comes_back_is_a_new_alert(store: Store) -> None:
    """And resolving that one leaves the record of the first alone."""
    await update(store, "backup", opened(at=T0))
    await update(store, "backup", resolved(at=T0 + 1))
    await update(store, "backup", opened(at=T0 + 2))
    await update(store, "backup", resolved(at=T0 + 3))

    records = [(one.opened_at, one.resolved_at) for one in await store.alerts()]
    assert records == [(T0 + 2, T0 + 3), (T0, T0 + 1)]


async def test_an_alert_that_goes_on_after_all_is_open_again(store: Store) -> None:
    """Another run had ended at the moment at which it was resolved."""
    await update(store, "backup", opened(at=T0, summary="it broke"))
    await update(store, "backup", resolved(at=T0 + 1))
    await update(store, "backup", opened(at=T0, summary="it broke again"))

    (record,) = await store.alerts()
    assert (record.opened_at, record.resolved_at) == (T0, None)
    assert record.summary == "it broke"
    await update(store, "backup", resolved(at=T0 + 2))
    assert [one.resolved_at for one in await store.alerts()] == [T0 + 2]


async def test_an_alert_that_opened_by_a_clock_that_was_ahead_is_moved(
    store: Store,
) -> None:
    await update(store, "backup", opened(at=T0 + 7200))
    await update(store, "sync", opened(at=T0 + 7200))
    await update(store, "backup", moved(T0))

    (backup,) = await store.alerts(AlertFilter(job="backup"))
    (sync,) = await store.alerts(AlertFilter(job="sync"))
    assert (backup.opened_at, backup.resolved_at) == (T0, None)
    assert sync.opened_at == T0 + 7200


async def test_an_alert_never_ends_before_it_opened(store: Store) -> None:
    await update(store, "backup", opened(at=T0 + 7200))
    await update(store, "backup", resolved(at=T0))

    (record,) = await store.alerts()
    assert (record.opened_at, record.resolved_at) == (T0, T0)


async def test_resolving_touches_one_condition_of_one_job(store: Store) -> None:
    """Another condition, and the same one of another job, stay open."""
    await update(store, "backup", opened(FAILING))
    await update(store, "backup", opened(MISSED))
    await update(store, "sync", opened(FAILING))

    await update(store, "backup", resolved(FAILING))

    still_open = [
        (record.job, record.key)
        for record in await store.alerts()
        if record.resolved_at is None
    ]
    assert still_open == [("sync", FAILING), ("backup", MISSED)]
    of_backup = await store.alerts(AlertFilter(job="backup"))
    assert [record.key for record in of_backup] == [MISSED, FAILING]


async def test_resolving_what_is_not_open_is_no_error(store: Store) -> None:
    """Nor does it leave a record."""
    await update(store, "backup", resolved())

    assert await store.alerts() == []


async def test_a_search_for_a_condition_looks_at_the_newest_alerts_only(
    store: Store,
) -> None:
    """So a filter that nothing matches does not read a long history."""
    for number in range(6):
        key = MISSED if number % 3 == 0 else FAILING
        await update(store, f"job-{number}", opened(key, at=T0 + number))

    async def jobs(**filters: Any) -> list[str]:
        return [one.job for one in await store.alerts(AlertFilter(**filters))]

    missed = (Condition.MISSED,)
    assert await jobs(conditions=missed, window=9) == ["job-3", "job-0"]
    assert await jobs(conditions=missed, window=3) == ["job-3"]
    assert await jobs(severity="critical", window=2, open=True) == ["job-5", "job-4"]
    assert await jobs(severity="critical", window=2, skip=1) == ["job-4"]
    assert await jobs(window=1, limit=2) == ["job-5", "job-4"]
    assert await jobs(skip=4) == ["job-1", "job-0"]
