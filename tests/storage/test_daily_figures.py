"""Figures of days are the same in every store, also after runs were pruned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from afterrun_exporter.core.daily_figures import (
    MOST_DURATIONS,
    OUTCOMES,
    BrokenSpan,
    FinishedRun,
    day_of,
)
from afterrun_exporter.core.durations import mark_of
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.state import AlertKey, JobState, Transition
from afterrun_exporter.storage.daily_rows import JOBS, RUNS, STEP
from afterrun_exporter.storage.store import Change, Decide, Store, update
from tests.copies import replace
from tests.storage.decisions import FAILING, MISSED, T0, fresh, opened, ran, resolved
from tests.storage.test_store import BIG_BANG, DAY, EVERYTHING

TODAY = day_of(T0)
UPSTREAM = AlertKey(Condition.UPSTREAM_UNHEALTHY)


async def found(store: Store, first: int = 0, last: int = TODAY + 99) -> dict[str, Any]:
    """Return the figures of each job, without what is 0."""
    period = await store.figures(first, last)
    return {
        one.job: {
            **runs_of(one.runs),
            **({"missed": one.missed} if one.missed else {}),
            **({"late": one.late} if one.late else {}),
            "durations": one.histogram(),
        }
        for one in period.jobs
    }


def runs_of(counts: tuple[int, ...]) -> Mapping[str, int]:
    return {o.value: n for o, n in zip(OUTCOMES, counts, strict=True) if n}


def durations(*seconds: float) -> Counter[int]:
    return Counter(ord(mark_of(one)) for one in seconds)


def missed(slots: int, at: float) -> Decide:
    def decide(state: JobState | None) -> Transition:
        before = state or fresh()
        total = before.missed_total + slots
        return Transition(state=replace(before, missed_total=total, missed_through=at))

    return decide


async def test_runs_are_counted_by_outcome_on_the_day_on_which_they_ended(
    store: Store,
) -> None:
    for outcome in Outcome:
        await update(store, "backup", ran(T0, outcome=outcome, duration=2.0))
    await update(store, "backup", ran(T0 + DAY, duration=60.0))
    await update(store, "sync", ran(T0 + 2 * DAY, duration=None))

    period = await store.figures(TODAY, TODAY + 1)

    every = {one.value: 1 for one in Outcome}
    neutral = {Outcome.CANCELED, Outcome.SKIPPED}
    judged = [2.0] * (len(Outcome) - len(neutral))
    assert await found(store, TODAY, TODAY) == {
        "backup": {**every, "durations": durations(*judged)}
    }
    assert await found(store, TODAY + 1) == {
        "backup": {"ok": 1, "durations": durations(60.0)},
        "sync": {"ok": 1, "durations": Counter()},
    }
    assert [(one.day, sum(one.runs)) for one in period.days] == [
        (TODAY, len(Outcome)),
        (TODAY + 1, 1),
    ]


async def test_an_attempt_that_another_one_follows_is_no_run(store: Store) -> None:
    failed = ran(outcome=Outcome.FAIL, attempt=1, max_attempts=2)
    await update(store, "backup", failed)
    await update(store, "backup", ran(attempt=2, max_attempts=2, duration=None))

    assert await found(store) == {"backup": {"ok": 1, "durations": Counter()}}


async def test_missed_slots_and_late_runs_are_counted(store: Store) -> None:
    """A run is late if it ends the missed alert."""
    await update(store, "backup", missed(2, T0))
    await store.update_all(
        [Change("backup", missed(1, T0 + DAY)), Change("backup", missed(1, T0 + DAY))]
    )
    await update(store, "backup", opened(MISSED, at=T0 + DAY))

    def late(state: JobState | None) -> Transition:
        end = resolved(MISSED, at=T0 + DAY)(state)
        return ran(T0 + DAY, duration=None)(end.state).after(end)

    await update(store, "backup", late)
    await update(store, "paused", opened(MISSED, at=T0))
    await update(store, "paused", resolved(MISSED, at=T0))

    assert (await found(store, TODAY, TODAY))["backup"]["missed"] == 2
    later = await found(store, TODAY + 1)
    assert later == {
        "backup": {"ok": 1, "missed": 2, "late": 1, "durations": Counter()}
    }
    assert [one.missed for one in (await store.figures(0, TODAY + 9)).days] == [2, 2]


async def test_figures_outlive_their_runs(store: Store) -> None:
    """Until they are pruned themselves, by whole days."""
    for day in range(3):
        await update(store, "backup", ran(T0 + day * DAY, duration=1.0))

    await store.prune(T0 + 9 * DAY, EVERYTHING, BIG_BANG)
    kept = await found(store)
    await store.prune(T0 + 9 * DAY, EVERYTHING, T0 + DAY)

    assert kept == {"backup": {"ok": 3, "durations": durations(1.0, 1.0, 1.0)}}
    assert await found(store) == {"backup": {"ok": 2, "durations": durations(1.0, 1.0)}}


async def test_alerts_are_kept_as_long_as_figures(store: Store) -> None:
    await update(store, "backup", opened(FAILING, at=T0))
    await update(store, "backup", resolved(FAILING, at=T0 + 60))

    await store.prune(T0 + DAY, EVERYTHING, T0)
    assert len(await store.alerts()) == 1

    await store.prune(T0 + DAY, EVERYTHING, T0 + 61)
    assert await store.alerts() == []


async def test_more_runs_than_one_step_are_counted(store: Store) -> None:
    changes = [Change(f"job-{n % 7}", ran(T0)) for n in range(2 * STEP + 3)]
    await store.update_all(changes)

    period = await store.figures(TODAY, TODAY)
    again = await store.figures(TODAY, TODAY)

    assert sum(sum(one.runs) for one in period.jobs) == 2 * STEP + 3
    assert sorted(again.jobs) == sorted(period.jobs)


async def test_many_durations_of_a_day_are_sampled(store: Store) -> None:
    """The percentiles stay those of all of them."""
    count = MOST_DURATIONS + 500
    runs = [ran(T0, duration=1.0 + n % 100) for n in range(count)]
    await store.update_all([Change("backup", one) for one in runs])

    ((one,), _, _) = await store.figures(TODAY, TODAY)

    histogram = Counter(one.histogram())
    assert histogram.total() == pytest.approx(count, rel=0.01)
    below = sum(n for mark, n in histogram.items() if mark <= ord(mark_of(50.0)))
    assert below / histogram.total() == pytest.approx(0.5, abs=0.03)


async def test_conditions_that_were_open_in_the_period_are_found(store: Store) -> None:
    """Those of the job itself, however early they opened."""
    await update(store, "backup", opened(FAILING, at=T0))
    await update(store, "backup", resolved(FAILING, at=T0 + 2 * DAY))
    await update(store, "backup", opened(MISSED, at=T0 + DAY))
    await update(store, "sync", opened(UPSTREAM, at=T0))

    async def spans(first: int, last: int) -> dict[str, list[BrokenSpan]]:
        return (await store.figures(first, last)).broken

    failing, late = BrokenSpan(T0, T0 + 2 * DAY), BrokenSpan(T0 + DAY, None)
    assert await spans(TODAY - 2, TODAY - 1) == {}
    assert await spans(TODAY, TODAY) == {"backup": [failing]}
    assert await spans(TODAY + 1, TODAY + 1) == {"backup": [failing, late]}
    assert await spans(TODAY + 9, TODAY + 9) == {"backup": [late]}


async def test_figures_of_some_jobs_are_read_alone(store: Store) -> None:
    """More of them than are read in one step; unknown ones have no figures."""
    names = [f"job-{n}" for n in range(2 * JOBS + 3)]
    await store.update_all([Change(name, ran(T0)) for name in names])
    await update(store, "job-5", opened(FAILING, at=T0))
    await update(store, "job-6", opened(FAILING, at=T0))

    some = await store.figures(TODAY, TODAY, {"job-5", "job-7", "unknown"})
    every = await store.figures(TODAY, TODAY, set(names))

    assert {one.job for one in some.jobs} == {"job-5", "job-7"}
    assert some.broken == {"job-5": [BrokenSpan(T0, None)]}
    assert {one.job for one in every.jobs} == set(names)
    assert some.days == every.days


async def test_finished_runs_are_read_once_each(store: Store) -> None:
    """In steps, without attempts that another one follows, and without older runs."""
    await update(store, "backup", ran(T0 - 60, duration=1.0))
    retried = ran(T0, outcome=Outcome.FAIL, attempt=1, max_attempts=2)
    await update(store, "backup", retried)
    runs = [ran(T0, duration=2.0) for _ in range(RUNS + 3)]
    await store.update_all([Change("sync", one) for one in runs])

    last, finished = await read_all(store, 0)
    await update(store, "backup", ran(T0 + 1, outcome=Outcome.FAIL, duration=3.0))
    newest, more = await read_all(store, last)

    assert finished == [FinishedRun("ok", T0, 2.0)] * (RUNS + 3)
    assert more == [FinishedRun("fail", T0 + 1, 3.0)]
    assert await store.finished_runs(newest, T0) == (newest, [])


async def test_a_store_without_runs_has_no_finished_ones(store: Store) -> None:
    assert await store.finished_runs(0, T0) == (0, [])


async def read_all(store: Store, after: int) -> tuple[int, list[FinishedRun]]:
    """Return the last id, and all runs after the one with the id *after*."""
    every: list[FinishedRun] = []
    while True:
        last, runs = await store.finished_runs(after, T0)
        every += runs
        if last == after:
            return last, every
        after = last
