"""The alert events of one transaction have the same effect in both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.state import (
    AlertKey,
    AlertMoved,
    AlertOpened,
    AlertResolved,
    JobState,
    OpenAlert,
    Transition,
)
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Change, Store
from tests.copies import replace
from tests.examples import examples
from tests.postgres import Database
from tests.storage.decisions import T0, fresh
from tests.storage.postgres.stores import LoneClock

KEYS = (AlertKey(Condition.FAILING), AlertKey(Condition.VIOLATED, "rows > 0"))

#: What happens to which condition of which job, and the time of that.
Event = tuple[str, str, AlertKey, float]

events = st.tuples(
    st.sampled_from(["backup", "report"]),
    st.sampled_from(["opened", "resolved", "moved"]),
    st.sampled_from(KEYS),
    st.sampled_from([T0, T0 + 10, T0 + 20, T0 + 30]),
)
#: Several transactions, each of several events.
histories = st.lists(st.lists(events, min_size=1, max_size=7), min_size=1, max_size=5)

prefixes = (f"{number}-" for number in count())


@pytest.fixture
async def both(postgres: Database, tmp_path: Path) -> AsyncIterator[list[Store]]:
    async with (
        SQLiteStore.open(tmp_path / "afterrun.db") as file,
        PostgresStore.open(postgres.url, clock=LoneClock()) as server,
    ):
        yield [file, server]


@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(histories)
# Two of one condition that opened at the same time are resolved: one opens again.
@example(
    [
        [
            ("backup", "opened", KEYS[1], T0),
            ("backup", "resolved", KEYS[1], T0),
            ("backup", "opened", KEYS[1], T0 + 10),
            ("backup", "resolved", KEYS[1], T0),
        ],
        [("backup", "opened", KEYS[1], T0)],
    ]
)
# One that was resolved before it opened, as the clock was set back, opens again.
@example(
    [
        [("backup", "opened", KEYS[0], T0 + 10)],
        [("backup", "resolved", KEYS[0], T0), ("backup", "opened", KEYS[0], T0)],
    ]
)
async def test_alerts_are_recorded_as_in_a_file(
    both: list[Store], history: list[list[Event]]
) -> None:
    """Opened, resolved, moved, and opened again, in one transaction or in several."""
    prefix = next(prefixes)
    file, server = [await recorded(store, history, prefix) for store in both]

    assert file == server


async def recorded(
    store: Store, history: Sequence[Sequence[Event]], prefix: str
) -> list[tuple[object, ...]]:
    """Return the alerts after *history*, of jobs whose names begin with *prefix*."""
    for step in history:
        await store.update_all([change(prefix, *event) for event in step])
    return sorted(
        (
            one.job,
            one.key.rule,
            one.severity,
            one.summary,
            one.opened_at,
            one.resolved_at or 0,
            one.run,
        )
        for one in await store.alerts()
        if one.job.startswith(prefix)
    )


def change(prefix: str, job: str, what: str, key: AlertKey, at: float) -> Change:
    """Return a change as the core makes it: none for a condition that has none."""

    def decide(state: JobState | None) -> Transition:
        before = state or fresh()
        others = tuple(one for one in before.alerts if one.key != key)
        is_open = len(others) < len(before.alerts)
        if is_open is (what == "opened"):
            return Transition(state=before)
        alert = OpenAlert(key=key, opened_at=at, shown_at=at)
        if what == "resolved":
            after = replace(before, alerts=others)
            return Transition(state=after, alerts=(AlertResolved(key, at),))
        after = replace(before, alerts=(*others, alert))
        if what == "moved":
            return Transition(state=after, alerts=(AlertMoved(key, at),))
        text = f"{what} at {at}"
        opening = AlertOpened(alert, "critical", text, run=int(at - T0))
        return Transition(state=after, alerts=(opening,))

    return Change(f"{prefix}{job}", decide)
