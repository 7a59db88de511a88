"""The start, the end and the duration of a run, from what its report says of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.core.pauses import is_ended_by
from afterrun_exporter.core.run_times import TOLERATED_SKEW, times_of
from afterrun_exporter.core.state import JobState, OpenRun
from tests.copies import replace
from tests.core.jobs import Night, at

#: The report arrives at 100; the run took 30 s of the time before.
ARRIVED = 100.0

AHEAD = "ahead of this machine's clock"
APART = "apart: the duration counts"
UNKNOWN = "its duration is unknown"
AFTER = "is after"


def times(
    *, start: float | None, end: float | None, took: float | None, opened: float | None
) -> tuple[float, float | None, float | None, str]:
    """Return end, start, duration and warnings of a run that is reported at 100."""
    ping = Ping(
        job="backup",
        kind=Kind.FINISH,
        at=ARRIVED,
        started_at=start,
        ended_at=end,
        duration=took,
    )
    run = OpenRun(run_id=None, attempt=1, started_at=opened) if opened else None
    found = times_of(ping, run)
    return found.ended_at, found.started_at, found.duration, "; ".join(found.warnings)


@pytest.mark.parametrize(
    ("start", "end", "took", "opened", "expected"),
    [
        # Nothing, one, two and all three, without and with the start of an open run.
        (None, None, None, None, (100, None, None)),
        (None, None, 30, None, (100, 70, 30)),
        (None, 90, None, None, (90, None, None)),
        (None, 90, 30, None, (90, 60, 30)),
        (60, None, None, None, (100, 60, 40)),
        (60, None, 30, None, (90, 60, 30)),
        (60, None, 0, None, (60, 60, 0)),
        (60, 90, None, None, (90, 60, 30)),
        (60, 90, 30, None, (90, 60, 30)),
        (None, None, None, 50, (100, 50, 50)),
        (None, None, 30, 50, (100, 50, 30)),
        (None, 90, None, 50, (90, 50, 40)),
        (None, 90, 30, 50, (90, 50, 30)),
        (60, None, None, 50, (100, 60, 40)),
        (60, None, 30, 50, (90, 60, 30)),
        (60, 90, None, 50, (90, 60, 30)),
        (60, 90, 30, 50, (90, 60, 30)),
        # Clocks differ a little, and numbers are rounded.
        (60, 90, 31, None, (90, 60, 31)),
        (101, None, None, None, (100, 100, 0)),
        (60, 101, None, None, (100, 60, 40)),
        (70, None, 31, None, (100, 70, 31)),
    ],
)
def test_two_of_three_give_the_third(
    start: float | None,
    end: float | None,
    took: float | None,
    opened: float | None,
    expected: tuple[float, float | None, float | None],
) -> None:
    assert times(start=start, end=end, took=took, opened=opened) == (*expected, "")


@pytest.mark.parametrize(
    ("start", "end", "took", "opened", "expected", "warning"),
    [
        # The duration counts where all three are there and do not agree.
        (60, 90, 5, None, (90, 60, 5), APART),
        (60, 90, 300, None, (90, 60, 300), APART),
        (None, None, 5000, 50, (100, 50, 5000), APART),
        (None, 90, 5000, 50, (90, 50, 5000), APART),
        # An end before the start.
        (90, 60, None, None, (60, None, None), UNKNOWN),
        (90, 60, 10, None, (60, 50, 10), AFTER),
        (None, 40, None, 50, (40, None, None), UNKNOWN),
        (None, 40, 10, 50, (40, 30, 10), AFTER),
        (170, None, None, None, (100, None, None), UNKNOWN),
        (None, None, None, 170, (100, None, None), UNKNOWN),
        # A clock ahead of ours: the run ended when its report arrived.
        (None, 200, None, None, (100, None, None), AHEAD),
        (None, 200, 30, None, (100, 70, 30), AHEAD),
        (None, 200, None, 50, (100, 50, 50), AHEAD),
        (170, 200, None, None, (100, 70, 30), AHEAD),
        (170, 200, 30, None, (100, 70, 30), AHEAD),
        (170, None, 30, None, (100, 70, 30), AHEAD),
        (170, None, 30, 50, (100, 70, 30), AHEAD),
        (90, None, 30, None, (100, 70, 30), AHEAD),
        (300, 200, None, None, (100, None, None), UNKNOWN),
    ],
)
def test_a_contradiction_gets_a_warning(
    start: float | None,
    end: float | None,
    took: float | None,
    opened: float | None,
    expected: tuple[float, float | None, float | None],
    warning: str,
) -> None:
    found = times(start=start, end=end, took=took, opened=opened)

    assert found[:3] == expected
    assert warning in found[3]


def test_what_differs_in_a_long_run_is_no_contradiction() -> None:
    """Clocks are adjusted while a run takes hours."""
    day = 86400.0
    ping = Ping(
        job="backup",
        kind=Kind.FINISH,
        at=day,
        started_at=1,
        ended_at=day,
        duration=day - 300,
    )

    assert times_of(ping, None).warnings == ()


instants = st.none() | st.floats(1, 300)


@given(instants, instants, st.none() | st.floats(0, 1e9), instants)
def test_no_run_ends_after_its_report_or_before_it_starts(
    start: float | None, end: float | None, took: float | None, opened: float | None
) -> None:
    ended, started, duration, warnings = times(
        start=start, end=end, took=took, opened=opened
    )

    assert ended <= ARRIVED
    assert started is None or started <= ended
    assert duration is None or duration >= 0
    if took is not None:
        assert duration == took
    if not warnings and end is not None:
        assert 0 <= end - ended <= TOLERATED_SKEW


@given(st.floats(1, 300), st.floats(1, 300), st.booleans())
def test_it_does_not_matter_which_two_are_reported(
    start: float, took: float, skewed: bool
) -> None:
    """A start and a duration, an end and a duration, or a start and an end."""
    end = start + took + (1000 if skewed else 0)
    whole = Ping(job="backup", kind=Kind.FINISH, at=700.0)
    first, *others = (
        times_of(one, None)
        for one in (
            replace(whole, started_at=end - took, ended_at=end),
            replace(whole, started_at=end - took, duration=took),
            replace(whole, ended_at=end, duration=took),
        )
    )

    for other in others:
        assert other.ended_at == pytest.approx(first.ended_at)
        assert other.started_at == pytest.approx(first.started_at)
        assert other.duration == pytest.approx(first.duration, abs=1e-6)


def test_a_run_record_counts_for_the_slot_that_it_ran_in() -> None:
    """A record that is posted hours later has a start and a duration, as often as not."""
    night = Night().clock("22 01:59")
    night.ping("22 09:00", started_at=at("22 02:00"), duration=600.0)

    assert night.runs[0].finished_at == at("22 02:10")
    assert night.state.due_after == at("22 02:10")


@pytest.mark.parametrize("paused", [at("22 02:05"), at("22 02:15")])
def test_a_derived_end_tells_whether_a_run_is_from_before_a_pause(
    paused: float,
) -> None:
    ping = Ping(
        job="backup",
        kind=Kind.FINISH,
        at=at("22 09:00"),
        started_at=at("22 02:00"),
        duration=600.0,
    )
    state = JobState(
        created_at=0.0, due_after=0.0, paused_at=paused, resumes_on_ping=True
    )

    assert is_ended_by(state, ping) is (paused <= at("22 02:10"))
