"""What was answered with success is there after a restart, in every database."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.model import Run
from afterrun_exporter.core.notifications import Stage
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Change, Decide, update
from tests.copies import replace
from tests.examples import examples
from tests.postgres import Database
from tests.storage.conftest import PostgresStorage, Reopen
from tests.storage.decisions import FAILING, T0, logged, opened, ran, resolved
from tests.storage.test_history import RECEIVER
from tests.storage.test_outbox import FIRING, LABELS, A, B, announce
from tests.storage.test_pushed_metrics import ETL
from tests.strategies import job_names, runs, states

Facts = dict[str, tuple[JobState, Run]]


async def test_what_was_stored_is_there_after_a_restart(reopen: Reopen) -> None:
    """States, runs, alerts and logs, in their order."""
    async with reopen() as store:
        for _ in range(3):
            await store.update_all([Change("backup", ran()), Change("sync", ran())])
        await update(store, "backup", opened(FAILING))
        await update(store, "backup", logged("words"))
        before = dict(store.states)
        history = await store.runs("backup", 10)
        alerts, logs = await store.alerts(), await store.logs("backup")

    async with reopen() as store:
        assert store.states == before
        assert await store.runs("backup", 10) == history
        assert await store.alerts() == alerts
        assert await store.logs("backup") == logs


async def test_an_alert_outlives_a_restart(reopen: Reopen) -> None:
    """It is still open, still one, and can still be resolved."""
    async with reopen() as store:
        await update(store, "backup", opened(FAILING, summary="the first"))

    async with reopen() as store:
        (alert,) = store.states["backup"].alerts
        await update(store, "backup", opened(FAILING, summary="the second"))
        await update(store, "backup", resolved(FAILING, at=T0 + 9))
        (record,) = await store.alerts()

    assert alert.key == FAILING
    assert (record.summary, record.resolved_at) == ("the first", T0 + 9)


async def test_runs_go_on_after_a_restart(reopen: Reopen) -> None:
    """New ones follow the old ones, for jobs old and new."""
    async with reopen() as store:
        await store.update_all([Change("backup", ran()), Change("sync", ran())])

    async with reopen() as store:
        await store.update_all([Change("backup", ran()), Change("fresh", ran())])
        numbers = {
            job: [run.number for run in await store.runs(job, 10)]
            for job in store.states
        }

    assert numbers == {"backup": [2, 1], "sync": [1], "fresh": [1]}


async def test_runs_go_on_after_pruning_and_a_restart(reopen: Reopen) -> None:
    """The rows of forgotten runs are not taken for those of new ones."""
    async with reopen() as store:
        for at in range(4):
            await store.update_all(
                [Change("backup", ran(T0 + at)), Change("sync", ran(T0 + at))]
            )
        await store.prune(T0 + 100, 1)

    async with reopen() as store:
        await store.update_all([Change("sync", ran()), Change("backup", ran())])
        numbers = [run.number for run in await store.runs("backup", 10)]

    assert numbers == [5, 4]


async def test_receivers_survive_a_restart(reopen: Reopen) -> None:
    """As everything that was answered with success."""
    async with reopen() as store:
        [added] = await store.add_receivers([RECEIVER])

    async with reopen() as store:
        assert await store.receivers() == [added]


async def test_groups_survive_a_restart(reopen: Reopen) -> None:
    async with reopen() as store:
        await store.pushed()
        await store.save_pushed(ETL)

    async with reopen() as store:
        assert await store.pushed() == [ETL]


async def test_a_restart_knows_what_was_told(reopen: Reopen) -> None:
    """All but what was refused: that is tried again."""
    async with reopen() as store:
        store.outbox.record(announce)
        await update(store, "backup", opened(at=T0, summary="it 'broke'"))
        await update(store, "sync", opened(at=T0))
        await update(store, "sync", resolved(at=T0 + 5))
        refused = replace(FIRING, stage=Stage.REFUSED)
        await store.outbox.note(A, {LABELS: FIRING}, lambda _: False)
        await store.outbox.note(B, {LABELS: refused}, lambda _: False)
        before = dict(store.outbox.notices)

    async with reopen() as again:
        assert again.outbox.notices == before
        assert again.outbox.delivery(LABELS, A) == FIRING
        assert again.outbox.delivery(LABELS, B) is None


async def test_an_alert_that_comes_back_keeps_what_was_told(reopen: Reopen) -> None:
    """Of the one before: by its time it is known to be that one."""
    async with reopen() as store:
        store.outbox.record(announce)
        await update(store, "backup", opened(at=T0))
        await store.outbox.note(A, {LABELS: FIRING}, lambda _: False)
        await update(store, "backup", resolved())
        await update(store, "backup", opened(at=T0 + 400))

    async with reopen() as again:
        assert again.outbox.notices[LABELS].opened_at == T0 + 400
        assert again.outbox.delivery(LABELS, A) == FIRING


@settings(max_examples=examples(25))
@given(facts=st.dictionaries(job_names(), st.tuples(states(), runs()), max_size=4))
def test_whatever_can_be_known_of_a_job_outlives_a_restart(facts: Facts) -> None:
    """Any text, NUL and newlines included, and any number, to the last bit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "afterrun.db"
        asyncio.run(check_restart(lambda: SQLiteStore.open(path), facts))


@pytest.mark.thorough
@pytest.mark.usefixtures("patient_limits")
@settings(max_examples=examples(10))
@given(facts=st.dictionaries(job_names(), st.tuples(states(), runs()), max_size=4))
def test_it_outlives_a_restart_in_postgresql_too(
    shared_database: Database, facts: Facts
) -> None:
    asyncio.run(check_restart(PostgresStorage(shared_database), facts))


async def check_restart(reopen: Reopen, facts: Facts) -> None:
    def becomes(state: JobState, run: Run) -> Decide:
        return lambda _: Transition(state=state, runs=(run,))

    async with reopen() as store:
        await store.update_all(
            [Change(job, becomes(*known)) for job, known in facts.items()]
        )
    async with reopen() as store:
        read_runs = {job: await store.runs(job, 9) for job in facts}
        read_states = dict(store.states)

    assert read_states == {job: state for job, (state, _) in facts.items()}
    assert read_runs == {job: [run] for job, (_, run) in facts.items()}
