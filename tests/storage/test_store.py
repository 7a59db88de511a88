"""What every store promises, whatever stands behind it."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest

from afterrun_exporter.core.history import pack, past
from afterrun_exporter.core.model import Outcome, Run
from afterrun_exporter.core.rules import Violation
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.storage.store import (
    MAX_METADATA,
    Change,
    Ended,
    LogRecord,
    RunFilter,
    Store,
    update,
)
from tests.copies import replace
from tests.storage.decisions import (
    T0,
    fresh,
    known,
    logged,
    missed_once_more,
    ran,
    unreadable,
)

DAY = 86_400.0
EVERYTHING = 10_000
#: Older than this is nothing.
BIG_BANG = 0.0


async def test_a_new_store_knows_nothing(store: Store) -> None:
    """No jobs, no history, and asking for them is no error."""
    assert store.states == {}
    assert await store.runs("backup", 10) == []
    assert await store.alerts() == []
    assert await store.logs("backup") == []
    assert await store.prune(T0, 10) == 0


async def test_an_update_is_decided_on_the_state_before_it(store: Store) -> None:
    """None for a job that is new, and then what the last update left."""
    seen: list[JobState | None] = []

    def decide(state: JobState | None) -> Transition:
        seen.append(state)
        return missed_once_more()(state)

    await update(store, "backup", decide)
    await update(store, "backup", decide)

    assert seen == [None, fresh(missed_total=1)]
    assert store.states == {"backup": fresh(missed_total=2)}


async def test_concurrent_updates_do_not_lose_one(store: Store) -> None:
    """Of two that arrive at once, one builds on the other."""
    await asyncio.gather(
        *(update(store, "backup", missed_once_more()) for _ in range(200))
    )

    assert store.states["backup"].missed_total == 200


async def test_concurrent_runs_are_numbered_without_a_gap(store: Store) -> None:
    """Also when their updates come in groups, some of them for other jobs."""
    groups = [
        [Change(job, ran()) for job in ("backup", "sync", "backup")] for _ in range(50)
    ]

    await asyncio.gather(*(store.update_all(changes) for changes in groups))

    numbers = [run.number for run in await store.runs("backup", EVERYTHING)]
    assert numbers == list(range(100, 0, -1))
    assert store.states["sync"].runs_total == 50


async def test_changes_of_one_call_build_on_each_other(store: Store) -> None:
    """They are applied in their order, and answered in it."""
    changes = [
        Change("backup", missed_once_more()),
        Change("sync", known()),
        Change("backup", missed_once_more()),
    ]

    first, other, second = await store.update_all(changes)

    assert isinstance(first, Transition)
    assert isinstance(second, Transition)
    assert other == Transition(state=fresh())
    assert (first.state.missed_total, second.state.missed_total) == (1, 2)
    assert store.states["backup"] is second.state


async def test_a_call_without_changes_is_answered(store: Store) -> None:
    """A batch of reports may turn out to have none that counts."""
    assert await store.update_all([]) == []


async def test_a_decision_that_raises_changes_nothing(store: Store) -> None:
    """Its exception is the answer, and the job stays as it was."""
    await update(store, "backup", ran())
    before = store.states["backup"]

    with pytest.raises(ValueError, match="cannot decide about"):
        await update(store, "backup", unreadable)

    assert store.states == {"backup": before}
    assert len(await store.runs("backup", EVERYTHING)) == 1


async def test_a_decision_that_raises_harms_no_other(store: Store) -> None:
    """Those before and after it in the same call are kept, of its job too."""
    good, bad, better, unknown = await store.update_all(
        [
            Change("backup", ran()),
            Change("backup", unreadable),
            Change("backup", ran()),
            Change("nobody", unreadable),
        ]
    )

    assert isinstance(good, Transition)
    assert isinstance(bad, ValueError)
    assert isinstance(better, Transition)
    assert isinstance(unknown, ValueError)
    assert store.states == {"backup": better.state}
    assert [run.number for run in await store.runs("backup", EVERYTHING)] == [2, 1]


async def test_a_run_is_readable_once_it_is_answered(store: Store) -> None:
    """Every field of it, as it was decided."""
    run = Run(
        number=1,
        run_id="2026-11-22T02:00",
        attempt=2,
        max_attempts=3,
        outcome=Outcome.VIOLATED,
        started_at=T0 - 5,
        finished_at=T0,
        received_at=T0 + 0.25,
        duration=5.0,
        exit_code=0,
        metrics={"rows": 0.0, "size": 1.5},
        violations=(
            Violation("rows > 0", "rows", 0.0, "> 0"),
            Violation("files > 0", "files", None, "> 0"),
        ),
        message="dumped\nnothing",
        metadata='{"host": "db1"}',
        config_commit="a1" * 20 + "-dirty",
    )
    state = fresh(runs_total=1)

    await update(store, "backup", lambda _: Transition(state=state, runs=(run,)))

    assert await store.runs("backup", 10) == [run]


async def test_a_run_without_details_stays_without_them(store: Store) -> None:
    """Not known is not nought, and not the empty text."""
    run = Run(
        number=1,
        run_id=None,
        attempt=1,
        outcome=Outcome.OK,
        finished_at=T0,
        received_at=T0,
    )
    state = fresh(runs_total=1)

    await update(store, "backup", lambda _: Transition(state=state, runs=(run,)))

    assert await store.runs("backup", 10) == [run]


async def test_two_runs_of_one_transition_are_both_kept(store: Store) -> None:
    """A start can end an older run that nobody reported on."""

    def decide(_: JobState | None) -> Transition:
        state = fresh()
        first = ran(outcome=Outcome.TIMEOUT)(state)
        second = ran()(first.state)
        return replace(second, runs=(*first.runs, *second.runs))

    await update(store, "backup", decide)

    runs = await store.runs("backup", 10)
    assert [(run.number, run.outcome) for run in runs] == [
        (2, Outcome.OK),
        (1, Outcome.TIMEOUT),
    ]


async def test_runs_come_newest_first_and_no_more_than_asked_for(store: Store) -> None:
    """Of this job alone, whatever the others did in between."""
    for _ in range(5):
        await store.update_all([Change("backup", ran()), Change("sync", ran())])

    assert [run.number for run in await store.runs("backup", 3)] == [5, 4, 3]
    assert [run.number for run in await store.runs("backup", 99)] == [5, 4, 3, 2, 1]
    assert await store.runs("backup", 0) == []
    assert await store.runs("nobody", 3) == []


async def test_the_endings_of_many_jobs_are_told_at_once(store: Store) -> None:
    """Of each the newest first, and no more than asked for; of a stranger nothing."""
    for number in range(3):
        await update(store, "backup", ran(T0 + number))
        await update(store, "sync", ran(T0 + number, outcome=Outcome.FAIL))
    await update(store, "other", ran())
    await update(store, "idle", known())

    assert await store.endings(["sync", "backup", "idle", "nobody"], 2) == {
        "backup": [Ended(3, Outcome.OK, T0 + 2), Ended(2, Outcome.OK, T0 + 1)],
        "sync": [Ended(3, Outcome.FAIL, T0 + 2), Ended(2, Outcome.FAIL, T0 + 1)],
    }
    assert await store.endings([], 2) == {}


async def test_attempts_that_another_one_follows_are_no_endings(store: Store) -> None:
    """Nor are they part of a history, by the same rule as everywhere."""
    runs: list[Run] = []
    for place, (outcome, most) in enumerate(product(Outcome, [None, 1, 2, 3])):
        made = await update(
            store,
            "backup",
            ran(T0 + place, outcome=outcome, attempt=2, max_attempts=most),
        )
        runs += made.runs

    judged = [run for run in runs[::-1] if not run.is_retried]
    assert 0 < len(judged) < len(runs)
    for limit in (1, 3, len(judged), len(runs)):
        assert await store.endings(["backup"], limit) == {
            "backup": [
                Ended(run.number, run.outcome, run.finished_at)
                for run in judged[:limit]
            ]
        }
    (stored,) = (await store.histories({"backup": 1e6}, T0 + 100, 1000)).values()
    assert stored == pack(filter(None, map(past, runs)))


async def test_the_last_judged_runs_of_many_jobs_are_told_at_once(
    store: Store,
) -> None:
    """Not a run that was canceled or skipped, nor an attempt that is repeated."""
    await update(store, "backup", ran(T0, outcome=Outcome.FAIL, message="disk full"))
    for number, outcome in enumerate((Outcome.CANCELED, Outcome.SKIPPED), start=1):
        await update(store, "backup", ran(T0 + number, outcome=outcome))
    retried = ran(T0 + 3, outcome=Outcome.FAIL, attempt=1, max_attempts=2)
    await update(store, "backup", retried)
    await update(store, "sync", ran(T0, outcome=Outcome.OK))
    await update(store, "other", ran(T0))
    await update(store, "idle", known())
    found = await store.last_judged(["backup", "sync", "idle", "nobody"])

    assert {name: run.number for name, run in found.items()} == {"backup": 1, "sync": 1}
    assert found["backup"].message == "disk full"
    assert await store.last_judged([]) == {}


async def test_long_metadata_is_not_read_for_many_jobs(store: Store) -> None:
    for job, size in (("backup", MAX_METADATA), ("sync", MAX_METADATA + 1)):
        await update(store, job, ran(metadata="é" * size))

    last = await store.last_judged(["backup", "sync"])

    assert {job: len(run.metadata) for job, run in last.items()} == {
        "backup": MAX_METADATA,
        "sync": 0,
    }


async def test_endings_stop_where_runs_were_pruned(store: Store) -> None:
    for number in range(5):
        await update(store, "backup", ran(T0 + number))
    await store.prune(BIG_BANG, 2)

    assert [one.number for one in (await store.endings(["backup"], 9))["backup"]] == [
        5,
        4,
    ]


async def test_runs_can_be_read_on_from_where_one_has_read_to(store: Store) -> None:
    """A page is as long as was asked for, wherever it begins."""
    for _ in range(5):
        await store.update_all([Change("backup", ran()), Change("sync", ran())])

    async def numbers(limit: int, before: int) -> list[int]:
        return [run.number for run in await store.runs("backup", limit, before)]

    assert await numbers(2, 6) == [5, 4]
    assert await numbers(2, 4) == [3, 2]
    assert await numbers(2, 2) == [1]
    assert await numbers(2, 1) == []
    assert await numbers(9, 99) == [5, 4, 3, 2, 1]


async def test_logs_come_newest_first(store: Store) -> None:
    """Those of one job, also when nothing else about it changes."""
    await update(store, "backup", logged("first", at=T0))
    await store.update_all(
        [
            Change("backup", logged("second", at=T0 + 1)),
            Change("sync", logged("other")),
        ]
    )

    entries = await store.logs("backup")

    assert [entry.message for entry in entries] == ["second", "first"]
    assert entries[1] == LogRecord(
        job="backup", at=T0, run_id="run-1", message="first", metadata='{"host": "db1"}'
    )
    assert await store.logs("nobody") == []


async def test_a_job_that_is_only_known_is_kept(store: Store) -> None:
    """Without a run, an alert or a word of it."""
    await update(store, "backup", known())

    assert store.states == {"backup": fresh()}


async def test_the_view_of_the_states_is_live(store: Store) -> None:
    """Who holds it sees what is committed, without asking again."""
    view = store.states

    await update(store, "backup", missed_once_more())

    assert view["backup"].missed_total == 1


async def test_the_states_show_nothing_before_it_is_answered(store: Store) -> None:
    """What is only decided could still be rolled back."""
    while_deciding: list[int] = []

    def decide(state: JobState | None) -> Transition:
        while_deciding.append(len(store.states))
        return known()(state)

    await store.update_all([Change("backup", decide), Change("sync", decide)])

    assert while_deciding == [0, 0]
    assert set(store.states) == {"backup", "sync"}


async def test_the_size_is_a_number_of_bytes(store: Store) -> None:
    """It is exposed as a gauge; of what has no disk, it is nought."""
    await update(store, "backup", ran())

    assert store.size() >= 0


async def test_closing_commits_what_waits(store: Store) -> None:
    """Nobody who was let in is sent away."""
    waiting = [asyncio.ensure_future(update(store, "backup", ran())) for _ in range(20)]
    await asyncio.gather(update(store, "backup", ran()), store.close())

    await asyncio.gather(*waiting)
    assert len(await store.runs("backup", EVERYTHING)) == 21


async def test_runs_are_selected_by_their_outcomes(store: Store) -> None:
    """A page is as long as was asked for, however many others are in between."""
    for outcome in (Outcome.FAIL, Outcome.OK, Outcome.TIMEOUT, Outcome.OK) * 3:
        await update(store, "backup", ran(outcome=outcome))
    bad = [Outcome.FAIL, Outcome.TIMEOUT]

    async def numbers(limit: int, before: int | None = None) -> list[int]:
        return [run.number for run in await store.runs("backup", limit, before, bad)]

    assert await numbers(9) == [11, 9, 7, 5, 3, 1]
    assert await numbers(2) == [11, 9]
    assert await numbers(2, 9) == [7, 5]
    assert await numbers(0) == []
    assert await store.runs("backup", 9, None, [Outcome.PARTIAL]) == []


async def test_the_runs_of_all_jobs_are_listed(store: Store) -> None:
    """The last recorded one first, by outcome, and from a time on."""
    for number in range(4):
        outcome = Outcome.FAIL if number % 2 else Outcome.OK
        at = T0 + number * DAY
        await store.update_all(
            [
                Change("backup", ran(at, outcome=outcome)),
                Change("sync", ran(at)),
            ]
        )

    async def found(**query: Any) -> list[tuple[str, int]]:
        runs = await store.recorded_runs(RunFilter(**{"limit": 100, **query}))
        return [(one.job, one.run.number) for one in runs]

    assert await found(limit=3) == [("sync", 4), ("backup", 4), ("sync", 3)]
    assert await found(outcomes=frozenset({Outcome.FAIL})) == [
        ("backup", 4),
        ("backup", 2),
    ]
    assert await found(since=T0 + 3 * DAY) == [("sync", 4), ("backup", 4)]
    assert await found(since=T0 + 9 * DAY) == []
    *_, last = await store.recorded_runs(RunFilter(limit=3))
    assert await found(limit=2, before=last.id) == [("backup", 3), ("sync", 2)]
    assert await found(limit=2, before=1) == []


async def test_runs_are_read_up_to_a_number_of_characters(store: Store) -> None:
    """Their metadata may have a million each; the first run is always returned."""
    for message, outcome in (("long", Outcome.OK), ("x", Outcome.FAIL)) * 2:
        await update(
            store, "backup", ran(outcome=outcome, message=message, metadata='{"é":1}')
        )

    async def numbers(size: int | None, *outcomes: Outcome) -> list[int]:
        runs = await store.runs("backup", 99, None, outcomes, size)
        found = await store.recorded_runs(
            RunFilter(limit=99, outcomes=frozenset(outcomes), size=size)
        )
        assert [one.run for one in found] == runs
        return [run.number for run in runs]

    assert await numbers(None) == [4, 3, 2, 1]
    assert await numbers(0) == [4]
    assert await numbers(7) == [4]
    assert await numbers(8) == [4, 3]
    assert await numbers(19) == [4, 3, 2]
    assert await numbers(8 + 11 + 8 + 11) == [4, 3, 2, 1]
    assert await numbers(8, Outcome.FAIL) == [4, 2]
