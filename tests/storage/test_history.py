"""Questions to recorded alerts, and receivers: every store answers them alike."""

from __future__ import annotations

import tempfile
from pathlib import Path

import aiosqlite
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.storage.sqlite import alert_history as history
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import AlertFilter, AlertStats, Store, update
from tests.copies import replace
from tests.examples import examples
from tests.fakes import MemoryStore
from tests.storage.decisions import FAILING, MISSED, T0, opened, resolved

VIOLATED = AlertKey(Condition.VIOLATED, "rows > 0")
UPSTREAM = AlertKey(Condition.UPSTREAM_UNHEALTHY)
TEST = AlertKey(Condition.TEST)


async def test_the_newest_alert_is_the_one_that_opened_last(store: Store) -> None:
    """Not the one that was recorded last: a miss is noticed after the fact."""
    await update(store, "backup", opened(FAILING, at=T0 + 10))
    await update(store, "backup", opened(MISSED, at=T0))

    assert [one.key for one in await store.alerts()] == [FAILING, MISSED]


async def test_every_record_has_an_id_of_its_own(store: Store) -> None:
    """By which somebody may speak of it."""
    for key in (FAILING, MISSED, VIOLATED):
        await update(store, "backup", opened(key))

    assert len({one.id for one in await store.alerts()} - {0}) == 3


async def test_a_store_without_alerts_has_statistics(store: Store) -> None:
    """Of nothing."""
    assert await store.alert_stats(T0, 10) == AlertStats(
        counts={}, jobs=(), mean=None, median=None, open_now=0
    )


async def test_statistics_are_of_what_was_wrong(store: Store) -> None:
    """A test is no trouble, and what is held back is counted where it comes from."""
    for key in (UPSTREAM, TEST, FAILING):
        await update(store, "backup", opened(key))
    for key in (UPSTREAM, TEST):
        await update(store, "sync", opened(key))
        await update(store, "sync", resolved(key, at=T0 + 3600))

    assert await store.alert_stats(T0, 10) == AlertStats(
        counts={(Condition.FAILING, "critical", True): 1},
        jobs=(("backup", 1),),
        mean=None,
        median=None,
        open_now=1,
    )


RECEIVER = JobReceiver(
    job="backup",
    type=ReceiverType.DISCORD,
    target="https://discord.example/api/webhooks/1/abc",
    on_timeout=False,
    created_at=T0,
)


async def test_a_receiver_is_kept_as_it_was_added(store: Store) -> None:
    """With an id."""
    [added] = await store.add_receivers([RECEIVER])

    assert await store.receivers() == [added]
    assert added == replace(RECEIVER, id=added.id)
    assert added.id > 0


async def test_receivers_come_in_the_order_they_were_added(store: Store) -> None:
    """And no id is given twice, not even that of the last one."""
    first, second = await store.add_receivers([RECEIVER, RECEIVER])
    await store.remove_receivers([second.id])
    [third] = await store.add_receivers([RECEIVER])

    assert await store.receivers() == [first, third]
    assert len({first.id, second.id, third.id}) == 3


async def test_removing_a_receiver_that_is_gone_is_no_error(store: Store) -> None:
    await store.remove_receivers([7])

    assert await store.receivers() == []


ALERTS = st.lists(
    st.tuples(
        st.sampled_from(["backup", "sync", "report"]),
        st.sampled_from([FAILING, MISSED, VIOLATED, UPSTREAM, TEST]),
        st.integers(0, 50),
        st.one_of(st.none(), st.integers(0, 50)),
    ),
    max_size=20,
)
FILTERS = st.builds(
    AlertFilter,
    job=st.sampled_from([None, "backup", "nobody"]),
    conditions=st.sampled_from([(), (Condition.FAILING,), tuple(Condition)]),
    severity=st.sampled_from([None, "critical", "info"]),
    open=st.sampled_from([None, True, False]),
    since=st.one_of(st.just(-float("inf")), st.integers(0, 60).map(lambda n: T0 + n)),
    before=st.one_of(st.none(), st.integers(1, 25)),
    window=st.sampled_from([None, 1, 4]),
    skip=st.sampled_from([0, 0, 2]),
    limit=st.sampled_from([None, 1, 5]),
)


@settings(max_examples=examples(25))
@given(alerts=ALERTS, filters=st.lists(FILTERS, min_size=1, max_size=8))
async def test_both_stores_answer_alike(
    alerts: list[tuple[str, AlertKey, int, int | None]], filters: list[AlertFilter]
) -> None:
    """Whatever has happened, and whatever is asked for."""
    memory = MemoryStore()
    with tempfile.TemporaryDirectory() as folder:
        async with SQLiteStore.open(Path(folder) / "afterrun.db") as sqlite:
            for store in (memory, sqlite):
                for job, key, at, lasted in alerts:
                    await update(store, job, opened(key, at=T0 + at))
                    if lasted is not None:
                        await update(store, job, resolved(key, at=T0 + at + lasted))
            for which in filters:
                assert await sqlite.alerts(which) == await memory.alerts(which)
            for since in (T0, T0 + 25, -float("inf")):
                ours = await sqlite.alert_stats(since, 2)
                theirs = await memory.alert_stats(since, 2)
                assert replace(ours, mean=0, median=0) == replace(
                    theirs, mean=0, median=0
                )
                assert (ours.mean, ours.median) == pytest.approx(
                    (theirs.mean, theirs.median)
                )


@pytest.mark.parametrize(
    ("which", "index"),
    [
        (AlertFilter(limit=10), "alerts_opened"),
        (AlertFilter(since=T0, limit=10), "alerts_opened"),
        (AlertFilter(open=False, limit=10), "alerts_opened"),
        (AlertFilter(job="backup", limit=10), "alerts_of_job"),
        (AlertFilter(job="backup", open=False, since=T0, limit=10), "alerts_of_job"),
        (AlertFilter(open=True, limit=10), "alerts_open"),
        (AlertFilter(before=7, limit=10), "alerts_opened"),
        (AlertFilter(before=7, job="backup", limit=10), "alerts_of_job"),
        (AlertFilter(before=7, open=True, limit=10), "alerts_open"),
        (AlertFilter(open=True, job="backup", limit=10), "alerts_of_job"),
    ],
)
async def test_no_question_reads_the_whole_table(
    tmp_path: Path, which: AlertFilter, index: str
) -> None:
    """There may be a million alerts, of which a hundred are open."""
    path = tmp_path / "afterrun.db"
    async with SQLiteStore.open(path), aiosqlite.connect(path) as reader:
        sql, values = history.query_of(which)
        plan = await reader.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", values)

    steps = [step for (*_, step) in plan]
    used = {step.partition(" USING INDEX ")[2].partition(" ")[0] for step in steps}
    assert index in used, steps
    # Only what is open is sorted by hand.
    assert which.open or not any("TEMP B-TREE" in step for step in steps), steps
