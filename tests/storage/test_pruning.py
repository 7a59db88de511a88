"""Old runs, logs and alerts are deleted, by every store alike."""

from __future__ import annotations

import asyncio

import pytest

from afterrun_exporter.storage.sqlite.writes import STEP
from afterrun_exporter.storage.store import (
    Change,
    Store,
    update,
)
from tests.storage.decisions import (
    FAILING,
    MISSED,
    T0,
    logged,
    opened,
    ran,
    resolved,
)
from tests.storage.test_store import BIG_BANG, DAY, EVERYTHING


async def test_pruning_forgets_by_age(store: Store) -> None:
    """What was received before is gone, what was received at that very time is not."""
    for at in (T0, T0 + DAY, T0 + 2 * DAY):
        await update(store, "backup", ran(at))

    pruned = await store.prune(T0 + DAY, EVERYTHING)

    assert pruned == 1
    assert [run.number for run in await store.runs("backup", 10)] == [3, 2]
    assert store.states["backup"].runs_total == 3


async def test_pruning_forgets_what_is_too_much_of_one_job(store: Store) -> None:
    """Each job has its own share."""
    for _ in range(5):
        await update(store, "backup", ran())
    for _ in range(2):
        await update(store, "sync", ran())

    pruned = await store.prune(BIG_BANG, 3)

    assert pruned == 2
    assert [run.number for run in await store.runs("backup", 10)] == [5, 4, 3]
    assert [run.number for run in await store.runs("sync", 10)] == [2, 1]


@pytest.mark.parametrize("runs_per_job", [0, 1, EVERYTHING])
async def test_pruning_keeps_the_last_run_of_a_job(
    store: Store, runs_per_job: int
) -> None:
    """However old it is: a repeat of it is still to be answered."""
    await update(store, "backup", ran())
    await update(store, "backup", ran())

    assert await store.prune(T0 + 365 * DAY, runs_per_job) == 1
    assert await store.prune(T0 + 365 * DAY, runs_per_job) == 0
    assert [run.number for run in await store.runs("backup", 10)] == [2]


async def test_runs_go_on_after_pruning(store: Store) -> None:
    """The history is shorter, not broken."""
    for _ in range(4):
        await update(store, "backup", ran())
    await store.prune(BIG_BANG, 2)

    await update(store, "backup", ran(T0 + DAY))

    assert [run.number for run in await store.runs("backup", 10)] == [5, 4, 3]


async def test_pruning_forgets_old_logs(store: Store) -> None:
    """By age alone, and the last one too."""
    await update(store, "backup", logged("old", at=T0))
    await update(store, "backup", logged("new", at=T0 + DAY))
    await update(store, "sync", logged("only", at=T0))

    assert await store.prune(T0 + DAY, EVERYTHING) == 0
    assert [entry.message for entry in await store.logs("backup")] == ["new"]
    assert await store.logs("sync") == []


async def test_pruning_forgets_resolved_alerts_alone(store: Store) -> None:
    """One that is open is kept for as long as it is open."""
    await update(store, "backup", opened(FAILING, at=T0))
    await update(store, "backup", resolved(FAILING, at=T0 + 60))
    await update(store, "backup", opened(MISSED, at=T0))
    await update(store, "sync", opened(FAILING, at=T0))
    await update(store, "sync", resolved(FAILING, at=T0 + 2 * DAY))

    await store.prune(T0 + DAY, EVERYTHING)

    kept = [(record.job, record.key) for record in await store.alerts()]
    assert kept == [("sync", FAILING), ("backup", MISSED)]


async def test_pruning_goes_through_more_than_one_step(store: Store) -> None:
    """It ends when nothing is left to forget, not after the first thousand."""
    count = 2 * STEP + 1
    await store.update_all(
        [Change(f"job-{n % 7}", ran(T0 + n)) for n in range(count)]
        + [Change("talker", logged(str(n), at=T0 + n)) for n in range(count)]
    )

    pruned = await store.prune(T0 + count + DAY, EVERYTHING)

    assert pruned == count - 7
    assert len(await store.runs("job-0", EVERYTHING)) == 1
    assert await store.logs("talker") == []


async def test_pruning_leaves_what_comes_meanwhile(store: Store) -> None:
    """Runs are recorded between its steps, and none of those is lost."""
    await store.update_all([Change("backup", ran(T0)) for _ in range(3 * STEP)])

    await asyncio.gather(
        store.prune(T0 + DAY, EVERYTHING),
        *(update(store, "backup", ran(T0 + 2 * DAY)) for _ in range(20)),
    )

    numbers = [run.number for run in await store.runs("backup", 20)]
    assert numbers == list(range(3 * STEP + 20, 3 * STEP, -1))
