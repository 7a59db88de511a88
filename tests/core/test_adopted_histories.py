"""A replica that reads of runs has the same windows as the one that recorded them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.history import (
    adopted,
    kept_for,
    pack,
    past,
    pasts,
    with_ratio,
    with_run,
)
from afterrun_exporter.core.model import Job, Outcome, Run, SlowerThan, SuccessRatio
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.windows import NO_HISTORY, Ratio
from tests.copies import replace
from tests.core.jobs import SETTINGS

FEW = replace(SETTINGS, runs_per_job=6)
JOBS = (
    Job(name="ratio", success_ratio=SuccessRatio(below=0.7, over=1000.0)),
    Job(name="slow", slower_than=SlowerThan(factor=2.0, over=1000.0)),
    Job(name="neither"),
)

RUNS = st.lists(
    st.tuples(
        st.sampled_from([Outcome.OK, Outcome.FAIL, Outcome.SKIPPED]),
        st.floats(0.0, 400.0),
        # A run may end before the one that was reported earlier.
        st.floats(-300.0, 0.0),
    ),
    min_size=1,
    max_size=12,
)


def run_of(number: int, outcome: Outcome, at: float) -> Run:
    return Run(
        number=number,
        run_id=None,
        attempt=1,
        outcome=outcome,
        finished_at=at,
        received_at=at,
        duration=1.0 * number,
    )


@given(job=st.sampled_from(JOBS), runs=RUNS, read=st.sets(st.integers(0, 11)))
def test_whenever_it_reads(
    job: Job, runs: list[tuple[Outcome, float, float]], read: set[int]
) -> None:
    """Some runs at a time, in the order of their numbers."""
    now, here = 0.0, JobState(created_at=0.0, due_after=0.0)
    there, unread = NO_HISTORY, list[Run]()
    for index, (outcome, later, earlier) in enumerate(runs):
        now += later
        run = run_of(index + 1, outcome, now + earlier)
        there = with_run(job, there, run, now, FEW)
        unread.append(run)
        if index in read or index == len(runs) - 1:
            packed = pack(filter(None, map(past, unread)))
            stored = JobState(created_at=0.0, due_after=0.0, runs_total=index + 1)
            here = adopted(job, stored, here.history, packed, now, FEW)
            unread.clear()

    expected = JobState(created_at=0.0, due_after=0.0, history=there)
    expected = with_ratio(job, expected, now)
    assert here.success_ratio == expected.success_ratio
    assert here.ratio_until == expected.ratio_until
    reached = now - kept_for(job)
    for history in (here.history, there):
        assert len(history) <= FEW.runs_per_job
    assert [one for one in pasts(here.history) if one.finished_at > reached] == [
        one for one in pasts(there) if one.finished_at > reached
    ]


def test_twice() -> None:
    """What it has already is not counted again."""
    runs = [run_of(number, Outcome.OK, 100.0 * number) for number in (1, 2, 3)]
    packed = pack(filter(None, map(past, runs)))
    stored = JobState(created_at=0.0, due_after=0.0, runs_total=3)
    once = adopted(JOBS[0], stored, NO_HISTORY, packed, 300.0, FEW)

    again = adopted(JOBS[0], stored, once.history, packed, 300.0, FEW)

    assert again == once
    assert len(again.history) == 3


def test_without_new_runs_only_time_has_passed() -> None:
    runs = [run_of(number, Outcome.OK, 100.0 * number) for number in (1, 2, 3)]
    packed = pack(filter(None, map(past, runs)))
    stored = JobState(created_at=0.0, due_after=0.0, runs_total=3)
    once = adopted(JOBS[0], stored, NO_HISTORY, packed, 300.0, FEW)

    later = adopted(JOBS[0], stored, once.history, b"", 1360.0, FEW)

    assert [one.number for one in pasts(later.history)] == [2, 3]
    assert once.success_ratio == Ratio(3, 3)
    assert later.success_ratio == Ratio(0, 0)


def test_of_a_job_without_windows_there_is_none() -> None:
    stored = JobState(created_at=0.0, due_after=0.0, runs_total=3)

    assert adopted(JOBS[2], stored, NO_HISTORY, b"", 300.0, FEW) is stored


def test_runs_that_ended_in_another_order_are_counted_as_well() -> None:
    ends = (100.0, 900.0, 500.0, 40.0)
    runs = [run_of(number, Outcome.OK, end) for number, end in enumerate(ends, start=1)]
    stored = JobState(created_at=0.0, due_after=0.0, runs_total=4)
    history = NO_HISTORY
    for run in runs:
        packed = pack(filter(None, [past(run)]))
        state = adopted(JOBS[0], stored, history, packed, 1000.0, FEW)
        history = state.history

    # A window of 1,000 seconds and a quarter more, for its edge.
    assert [one.number for one in pasts(history)] == [1, 2, 3, 4]
    assert state.success_ratio == Ratio(4, 4)
    late = adopted(JOBS[0], stored, history, b"", 1300.0, FEW)
    assert [one.number for one in pasts(late.history)] == [1, 2, 3]
