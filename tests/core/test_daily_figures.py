"""Figures of a day: runs by outcome, durations, missed slots and late runs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.daily_figures import (
    MOST_DURATIONS,
    OUTCOMES,
    DayFigures,
    FinishedRun,
    JobFigures,
    day_of,
    figures_of,
    is_counted,
    unpunctual,
)
from afterrun_exporter.core.durations import count_marks, duration_of, mark_of
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.state import AlertKey, AlertResolved, JobState, Transition
from afterrun_exporter.core.units import format_duration
from tests.core.jobs import BACKUP, Night, at

NOON = at("21 12:00")
TODAY = 20_778
MISSED = AlertKey(Condition.MISSED)
STATE = JobState(created_at=NOON, due_after=NOON, missed_total=3, missed_through=NOON)


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert (day_of(NOON), day_of(NOON - 43_201), day_of(NOON + 43_200)) == (
        TODAY,
        TODAY - 1,
        TODAY + 1,
    )


def test_neutral_runs_and_runs_without_a_duration_have_no_durations() -> None:
    figures = figures_of(
        [
            FinishedRun(Outcome.OK, NOON, 2.0),
            FinishedRun(Outcome.FAIL, NOON, None),
            FinishedRun(Outcome.CANCELED, NOON, 3.0),
        ]
    )

    counts = dict(zip(OUTCOMES, figures.runs, strict=True))
    assert {one for one, n in counts.items() if n} == {"ok", "fail", "canceled"}
    assert figures.durations == mark_of(2.0)


def test_an_attempt_before_the_last_one_is_not_counted() -> None:
    assert not is_counted(1, 2, Outcome.FAIL)
    assert is_counted(2, 2, Outcome.FAIL)
    assert is_counted(1, None, Outcome.FAIL)


def test_durations_beyond_the_limit_stand_for_several_runs() -> None:
    """However they arrive: all at once, or one after the other."""
    one = figures_of([FinishedRun(Outcome.OK, NOON, 1.0)])
    total = DayFigures()
    for _ in range(MOST_DURATIONS * 3):
        total = total.plus(one)

    assert total.weight == 4
    assert len(total.durations) <= MOST_DURATIONS
    assert len(total.durations) * total.weight == pytest.approx(
        MOST_DURATIONS * 3, rel=0.01
    )


def test_a_histogram_weighs_the_durations_of_long_days() -> None:
    short, long = mark_of(1.0), mark_of(60.0)
    figures = JobFigures("x", (), 0, 0, short * 3, ((4, long * 2), (2, short)))

    assert figures.histogram() == {ord(short): 5, ord(long): 8}
    assert figures.sample(1, 2) == {ord(short): 1, ord(long): 4}


@given(st.lists(st.floats(0.0, 1e7)))
def test_marks_are_counted_by_their_code_points(seconds: list[float]) -> None:
    """Those of jobs with very different durations, too."""
    marks = "".join(map(mark_of, seconds))

    assert count_marks(marks) == Counter(map(ord, marks))


@given(st.floats(0.001, 1e10, exclude_min=True))
def test_the_duration_of_a_mark_has_the_same_mark(seconds: float) -> None:
    mark = mark_of(seconds)

    assert mark_of(duration_of(ord(mark))) == mark


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0005, "0s"),
        (0.0123, "12ms"),
        (0.25, "250ms"),
        (1.0, "1s"),
        (1.01, "1.02s"),
        (5.0, "5s"),
        (5.05, "5s"),
        (20.0, "20s"),
        (59.9, "1m"),
        (90.0, "1m30s"),
        (61.5, "1m2s"),
        (300.0, "5m"),
        (5400.0, "1h30m"),
        (28_790.0, "8h"),
        (86_400.0, "1d"),
    ],
)
def test_the_duration_of_a_mark_has_no_more_digits_than_are_known(
    seconds: float, text: str
) -> None:
    assert format_duration(duration_of(ord(mark_of(seconds)))) == text


def test_missed_slots_belong_to_the_day_of_the_last_one() -> None:
    assert list(unpunctual(Transition(state=STATE), 3)) == []
    assert list(unpunctual(Transition(state=STATE), 1)) == [
        (TODAY, DayFigures(missed=2))
    ]


def test_a_run_that_ends_the_missed_alert_is_late() -> None:
    night = Night(BACKUP).clock("22 02:31").ping("22 03:00")
    run = night.runs[-1]
    ends = (AlertResolved(MISSED, NOON),)

    late = Transition(state=STATE, runs=(run,), alerts=ends)
    assert list(unpunctual(late, 3)) == [(TODAY + 1, DayFigures(late=1))]
    for other in (
        # A pause ends it, too.
        Transition(state=STATE, alerts=ends),
        Transition(
            state=STATE,
            runs=(run,),
            alerts=(AlertResolved(AlertKey(Condition.FAILING), NOON),),
        ),
    ):
        assert list(unpunctual(other, 3)) == []
