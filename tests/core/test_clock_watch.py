"""What two clocks say: a step of the one, a pause between two looks, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.clock_watch import MIN_PAUSE, ClockJump, jump

OFFSETS = st.floats(0, 2e9)
PASSED = st.floats(0, 1e7)


def read(step: float = 0.0, gap: float = 1.0) -> ClockJump | None:
    """Return what shows when the clock is set by *step*, *gap* after the last look."""
    return jump(1_000.0, 50.0, 1_050.0 + gap + step, 50.0 + gap)


@pytest.mark.parametrize(
    ("step", "gap", "noticed"),
    [
        (0, 0, None),
        (0, 1, None),
        (0, 4.9, None),
        # A leap second, and what adjusting a clock slowly comes to.
        (1, 1, None),
        (-1, 1, None),
        (1.5, 1, (1.5, 0)),
        (-1.5, 1, (-1.5, 0)),
        (7200, 1, (7200, 0)),
        (-7200, 1, (-7200, 0)),
        (400 * 86_400, 1, (400 * 86_400, 0)),
        (0, 5, (0, 5)),
        (0, 120, (0, 120)),
        (0.5, 120, (0, 120)),
        (600, 3600, (600, 3600)),
        (-600, 3600, (-600, 3600)),
    ],
)
def test_what_is_a_step_and_what_a_pause(
    step: float, gap: float, noticed: tuple[float, float] | None
) -> None:
    found = read(step, gap)

    assert (found and (found.step, found.pause)) == noticed


@pytest.mark.parametrize(
    ("step", "gap", "down_for"),
    [
        # What was left out, all of the pause, or both.
        (7200, 1, 7200),
        (0, 120, 120),
        (600, 3600, 4200),
        # A clock that was ahead: no time is missing, but for the pause.
        (-7200, 1, 0),
        (-600, 3600, 3600),
    ],
)
def test_no_report_could_arrive_since(step: float, gap: float, down_for: float) -> None:
    found = read(step, gap)

    assert found is not None
    assert found.now - found.since == down_for


@given(offset=OFFSETS, passed=PASSED, gap=st.floats(0, 4.99))
def test_time_that_passes_is_nothing(offset: float, passed: float, gap: float) -> None:
    assert jump(offset, passed, offset + passed + gap, passed + gap) is None


@given(steps=st.lists(st.floats(-0.9, 0.9), max_size=50))
def test_many_small_steps_are_as_good_as_one(steps: list[float]) -> None:
    """The clock is never off by more than a second without being noticed."""
    offset, wall, passed = 0.0, 0.0, 0.0
    for step in steps:
        before, wall, passed = passed, wall + 1.0 + step, passed + 1.0
        if (found := jump(offset, before, wall, passed)) is not None:
            assert found.step == pytest.approx(wall - passed - offset)
            offset = wall - passed
        assert abs(wall - passed - offset) <= 1.0


@given(
    step=st.floats(-1e9, 1e9),
    gap=st.floats(0, 1e7),
    offset=OFFSETS,
    passed=PASSED,
)
def test_the_time_in_which_no_report_could_arrive_ends_now(
    step: float, gap: float, offset: float, passed: float
) -> None:
    wall = offset + passed + gap + step
    found = jump(offset, passed, wall, passed + gap)

    if found is None:
        assert abs(step) < 1.001
        assert gap < MIN_PAUSE + 0.001
    else:
        assert found.since <= found.now == wall
