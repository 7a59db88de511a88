"""Conditions that look back over a job's runs: success ratio, unusual duration."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.history import (
    Past,
    history_of,
    joined,
    pack,
    pasts,
    put_back,
    slow_threshold,
    unpack,
    with_ratio,
    with_run,
)
from afterrun_exporter.core.model import (
    Average,
    Job,
    Kind,
    Outcome,
    Ping,
    Run,
    Settings,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.state import AlertEvent, AlertOpened, JobState
from afterrun_exporter.core.transitions import on_clock, on_ping
from afterrun_exporter.core.windows import NO_HISTORY, Ratio
from tests.copies import replace

from .jobs import SETTINGS, Night, at, told

HOUR = 3600.0

FLAKY = Job(
    name="backup", success_ratio=SuccessRatio(below=0.8, over=6 * HOUR, min_runs=5)
)
STEADY = Job(
    name="backup",
    slower_than=SlowerThan(factor=2, over=24 * HOUR, min_runs=3),
)

LOW = "success_ratio_low"


def a_quarter_of_the_gap(ends: list[float], over: float, now: float) -> float:
    seen = sorted(end for end in ends if end + over * 1.25 > now)
    if len(seen) < 2:
        return over / 4
    return min(over, (seen[-1] - seen[0]) / (len(seen) - 1)) / 4


def night_of(job: Job, outcomes: str, settings: Settings = SETTINGS) -> Night:
    """Return a night with a run every ten minutes from 01:00 on: o is ok, f failed."""
    night = Night(job, settings=settings)
    for number, outcome in enumerate(outcomes):
        when = f"22 {1 + number // 6:02}:{number % 6}0"
        night.ping(when, outcome={"o": Outcome.OK, "f": Outcome.FAIL}[outcome])
    return night


def ratio(night: Night) -> Ratio:
    assert night.state.success_ratio is not None
    return night.state.success_ratio


@pytest.mark.parametrize(
    ("outcomes", "low"),
    [
        ("", False),
        ("ffff", False),
        ("fffff", True),
        ("ooooo", False),
        ("oooof", False),
        ("ooooff", True),
        ("oooooooof", False),
        ("fooof", True),
        ("foooooooo", False),
    ],
)
def test_too_few_ok_runs_are_a_condition_once_there_are_enough(
    outcomes: str, low: bool
) -> None:
    """At 80 % exactly all is well; four runs say nothing."""
    night = night_of(FLAKY, outcomes)

    assert (LOW in night.open) is low
    assert ratio(night) == Ratio(outcomes.count("o"), len(outcomes)) if outcomes else 1


def test_canceled_runs_do_not_count() -> None:
    """Nobody says how they would have ended."""
    night = night_of(FLAKY, "oooof").ping("22 02:00", outcome=Outcome.CANCELED)

    assert ratio(night) == Ratio(4, 5)


def test_a_run_that_broke_a_rule_was_not_ok() -> None:
    night = Night(replace(FLAKY, rules=Night().job.rules))

    night.ping("22 01:00").ping("22 01:10", metrics={"rows": 0.0, "size": 5000.0})

    assert ratio(night) == Ratio(1, 2)


def test_the_window_slides_on_without_a_ping() -> None:
    """The two failures at 01:00 and 01:10 leave it at 07:00 and 07:10, on the dot.

    The alert ends a quarter of the usual gap between runs after the first of them.
    """
    night = night_of(FLAKY, "ffooooo")
    assert night.open == [LOW]

    assert night.clock("22 06:59:59").open == [LOW]
    assert ratio(night) == Ratio(5, 7)
    assert told(wake_at(night.job, night.state, SETTINGS)) == "22 07:00:00"
    assert night.clock("22 07:00").open == [LOW]
    assert ratio(night) == Ratio(5, 6)
    assert night.clock("22 07:02:29").open == [LOW]
    assert night.clock("22 07:02:30").open == []
    assert night.clock("22 07:10").open == []
    assert ratio(night) == Ratio(5, 5)


def test_with_too_few_runs_left_nothing_is_said() -> None:
    """A job that has not run for long is missed, not unreliable."""
    night = night_of(FLAKY, "fffff")

    night.clock("22 07:02:30")

    assert (night.open, ratio(night)) == (["failing"], Ratio(0, 4))
    night.clock("23 12:00")
    assert math.isnan(ratio(night).value)


def test_why_is_said_in_words() -> None:
    night = night_of(FLAKY, "oofff")

    (low,) = (a for a in night.alerts if a.alert.key.condition.value == LOW)
    assert low.summary == "2 of 5 runs within 6h were ok, less than 80%"


def test_no_window_sees_more_runs_than_are_kept() -> None:
    """After a restart the older ones would not be there."""
    night = night_of(FLAKY, "fffooooo", settings=Settings(runs_per_job=5))

    assert ratio(night) == Ratio(5, 5)


def test_a_job_without_windows_remembers_no_runs() -> None:
    assert night_of(Job(name="backup"), "ofo").state.history == NO_HISTORY


PASTS = st.builds(
    Past,
    number=st.integers(1, 2**32 - 1),
    finished_at=st.floats(0, 1e11),
    duration=st.floats(0, 1e9),
    ok=st.booleans(),
)


@given(st.lists(PASTS, unique_by=lambda run: run.number))
def test_a_history_is_read_as_it_was_written(runs: list[Past]) -> None:
    in_order = sorted(runs, key=lambda run: run.number)

    assert [*unpack(pack(runs))] == in_order
    assert [*pasts(history_of(in_order))] == in_order


#: How much later each run arrives than the one before it, how long before that it
#: ended, how long it took, and how.
ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 40) | st.integers(-60, 40),
        st.just(0) | st.integers(0, 30),
        st.none() | st.integers(1, 9),
        st.sampled_from([Outcome.OK, Outcome.OK, Outcome.FAIL, Outcome.CANCELED]),
    ),
    max_size=25,
)


@given(arrivals=ARRIVALS, later=st.integers(-100, 100), kept=st.integers(1, 12))
def test_windows_are_exact_in_whatever_order_runs_end(
    arrivals: list[tuple[int, int, int | None, Outcome]], later: int, kept: int
) -> None:
    """Against what a plain list says, and also when the clock is set back."""
    slower = SlowerThan(factor=2, than=Average.MEAN, over=60, min_runs=1)
    job = Job(
        name="backup",
        success_ratio=SuccessRatio(below=0.5, over=100),
        slower_than=slower,
    )
    limits = Settings(runs_per_job=kept)
    state = JobState(created_at=0, due_after=0)
    plain: list[Run] = []
    now = 1000.0
    for number, (after, before, duration, outcome) in enumerate(arrivals, start=1):
        now += after
        run = Run(
            number=number,
            run_id=None,
            attempt=1,
            outcome=outcome,
            finished_at=now - before,
            received_at=now,
            duration=duration,
        )
        history = with_run(job, state.history, run, now, limits)
        state = replace(state, history=history)
        plain = [*plain, run] if outcome is not Outcome.CANCELED else plain
        plain = [
            one
            for one in plain
            if one is run
            or (one.finished_at + 125 > now and one.number > number - kept)
        ]
    now += later

    inside = [one for one in plain if one.finished_at + 100 > now]
    usual = [
        one.duration
        for one in plain
        if one.outcome is Outcome.OK
        and one.finished_at + 60 > now
        and one.duration is not None
    ]

    assert [one.number for one in pasts(state.history)] == [one.number for one in plain]
    slid_on = with_ratio(job, state, now)
    oks = sum(one.outcome is Outcome.OK for one in inside)
    assert slid_on.success_ratio == Ratio(oks, len(inside))
    slack = a_quarter_of_the_gap([one.finished_at for one in plain], 100.0, now)
    leaving = [
        one.finished_at + over
        # And those that the usual gap is taken from.
        for over in (100.0 - slack, 100.0, 100.0 + slack, 125.0)
        for one in plain
    ]
    assert slid_on.ratio_until == min(
        (when for when in leaving if when > now), default=math.inf
    )
    limit = slow_threshold(slower, state.history, now)
    assert limit == (2 * statistics.fmean(usual) if usual else None)


@given(
    ends=st.lists(st.tuples(st.integers(0, 500), st.booleans()), max_size=30),
    later=st.integers(0, 1000),
)
def test_the_ratio_is_that_of_the_runs_in_the_window(
    ends: list[tuple[int, bool]], later: int
) -> None:
    """Whenever it is asked for, against a plain count."""
    job = replace(FLAKY, success_ratio=SuccessRatio(below=0.5, over=300, min_runs=1))
    night = Night(job)
    start = at("22 01:00")
    for number, (second, ok) in enumerate(sorted(ends)):
        outcome = Outcome.OK if ok else Outcome.FAIL
        night.ping(told(start + second), outcome=outcome, run_id=str(number))
    now = start + max([second for second, _ in ends], default=0) + later
    inside = [ok for second, ok in ends if start + second + 300 > now]

    state = on_clock(job, night.state, now, SETTINGS).state

    assert state.success_ratio == Ratio(sum(inside), len(inside))
    slack = a_quarter_of_the_gap([start + second for second, _ in ends], 300.0, now)
    low = []
    for over in (300 - slack, 300, 300 + slack):
        seen = [ok for second, ok in ends if start + second + over > now]
        low.append(bool(seen) and statistics.fmean(seen) < 0.5)
    was_open = any(a.key.condition.value == LOW for a in night.state.alerts)
    is_open = any(a.key.condition.value == LOW for a in state.alerts)
    assert is_open is (any(low) if was_open else all(low))


@given(
    period=st.sampled_from([300.0, 3600.0, 86400.0]),
    periods=st.integers(2, 14),
    runs=st.lists(st.tuples(st.booleans(), st.floats(-0.07, 0.07)), max_size=60),
)
def test_runs_that_come_and_leave_at_one_time_are_no_news(
    period: float, periods: int, runs: list[tuple[bool, float]]
) -> None:
    """The last runs decide, however little before or after a window ago one comes."""
    wanted = SuccessRatio(below=0.8, over=period * periods, min_runs=1)
    job = replace(FLAKY, success_ratio=wanted)
    state = JobState(created_at=0, due_after=0)
    made: list[AlertEvent] = []
    lows: list[bool] = []
    for number, (ok, late) in enumerate(runs, start=1):
        when = (1000 + number + late) * period
        while (wake := wake_at(job, state, SETTINGS)) < when:
            slid_on = on_clock(job, state, wake, SETTINGS)
            state, made = slid_on.state, [*made, *slid_on.alerts]
        outcome = Outcome.OK if ok else Outcome.FAIL
        ping = Ping(
            job="backup", kind=Kind.FINISH, at=when, outcome=outcome, run_id=str(number)
        )
        taken = on_ping(job, state, ping, SETTINGS)
        state, made = taken.state, [*made, *taken.alerts]
        last = [ok for ok, _ in runs[:number][-periods:]]
        lows.append(statistics.fmean(last) < 0.8)

    opened = [e for e in made if isinstance(e, AlertOpened) and e.key.condition == LOW]
    began = [low and not before for before, low in pairwise([False, *lows])]
    # What the last run may have begun is told a quarter of a period later.
    assert sum(began[:-1]) <= len(opened) <= sum(began)


#: Ends of runs, in order of arrival, and whether each was recorded by a clock that was
#: ahead by so much.
ENDS = st.lists(st.tuples(st.floats(0, 1e6), st.sampled_from([0.0, 0.0, 3e6, 4e7])))


@given(ENDS)
def test_runs_of_a_clock_that_was_ahead_ended_among_those_around_them(
    runs: list[tuple[float, float]],
) -> None:
    now = 1e6
    ends = [end + ahead for end, ahead in runs]

    right = put_back(ends, now)

    assert [one for one in right if one > now] == []
    for place, (end, found) in enumerate(zip(ends, right, strict=True)):
        before = [one for one in ends[:place] if one <= now]
        after = [one for one in ends[place:] if one <= now]
        if end <= now:
            assert found == end
        else:
            assert found >= max(before, default=-math.inf)
            assert found <= max([*before, *(after[:1] or [now])])


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(2e6, 1e9))
def test_runs_keep_their_distances_where_the_clock_is_set_back(
    ends: list[float], back: float
) -> None:
    """Else all of them would be in the window at once, those of a month ago as well."""
    right = put_back(ends, max(ends) - back)

    newest = max(ends)
    assert right == pytest.approx([end - back for end in ends])
    assert max(right) == newest - back


def test_a_run_that_had_left_the_window_does_not_come_back_with_the_clock() -> None:
    night = night_of(FLAKY, "ffffff" + "o" * 48)
    assert (night.open, ratio(night)) == ([], Ratio(36, 36))

    night.clock("02 09:50")

    assert (night.open, ratio(night)) == ([], Ratio(36, 36))
    assert night.clock("02 15:49:59").open == []
    assert ratio(night) == Ratio(1, 1)


@given(st.integers(0, 9), st.integers(0, 9))
def test_what_was_stored_and_what_came_since_make_one_history(
    stored: int, since: int
) -> None:
    """A run that is in both counts once."""
    whole = night_of(FLAKY, "offoffoooo")
    runs = [*pasts(whole.state.history)]
    state = replace(whole.state, history=history_of(runs[since:]))

    history = joined(FLAKY, pack(runs[:stored]), state, at("22 04:00"), SETTINGS)

    known = {run.number for run in (*runs[:stored], *runs[since:])}
    assert [run.number for run in pasts(history)] == sorted(known)


def test_a_job_that_is_judged_by_its_ratio_no_more_has_none() -> None:
    night = Night(FLAKY)
    for minute in range(6):
        night.fail(f"22 02:{minute:02}")
    assert LOW in night.open

    night.job = replace(FLAKY, success_ratio=None)
    night.clock("22 02:10")

    assert night.state.success_ratio is None
    assert LOW not in night.open
