"""A run is slow that takes a multiple of the usual duration."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.core.model import (
    Average,
    Outcome,
    SlowerThan,
)
from afterrun_exporter.core.transitions import on_retired
from tests.copies import replace
from tests.core.test_windows import HOUR, STEADY

from .jobs import Night, at


def run_of(night: Night, when: str, minutes: float, **more: Any) -> Night:
    return night.ping(when, duration=minutes * 60, **more)


@pytest.mark.parametrize(
    ("before", "minutes", "slow"),
    [
        ([10, 10], 100, False),
        ([10, 10, 10], 20, False),
        ([10, 10, 10], 20.1, True),
        # The median does not mind one odd run.
        ([10, 10, 500], 21, True),
        ([10, 12, 14, 16], 26, False),
        ([10, 12, 14, 16], 27, True),
    ],
)
def test_a_run_is_slow_from_a_multiple_of_the_median_on(
    before: list[float], minutes: float, slow: bool
) -> None:
    """The run itself is not among those it is compared with."""
    night = Night(STEADY)
    for number, usual in enumerate(before):
        run_of(night, f"22 01:{number}0", usual)

    run_of(night, "22 12:00", minutes)

    assert night.open == (["slow"] if slow else [])


def test_the_mean_minds_every_run() -> None:
    mean = SlowerThan(factor=2, than=Average.MEAN, over=24 * HOUR, min_runs=3)
    night = Night(replace(STEADY, slower_than=mean))
    for number, usual in enumerate([10, 10, 40]):
        run_of(night, f"22 01:{number}0", usual)

    assert run_of(night, "22 12:00", 40).open == []
    assert night.state.slow_threshold == 40 * 60.0


def test_a_quick_run_heals_it_and_a_failed_one_does_not() -> None:
    """How long it takes to fail says nothing about the work."""
    night = Night(STEADY)
    for when in ("22 01:00", "22 01:10", "22 01:20"):
        run_of(night, when, 10)

    assert run_of(night, "22 02:00", 30).open == ["slow"]
    assert run_of(night, "22 03:00", 1, outcome=Outcome.FAIL).open == [
        "failing",
        "slow",
    ]
    assert night.ping("22 04:00").open == ["slow"]
    assert run_of(night, "22 05:00", 10).open == []


def test_runs_that_failed_or_are_long_past_are_not_usual() -> None:
    night = Night(STEADY)
    for when, minutes in (("20 01:00", 1), ("20 02:00", 1), ("20 03:00", 1)):
        run_of(night, when, minutes)
    for when in ("22 01:00", "22 01:10", "22 01:20"):
        run_of(night, when, 1, outcome=Outcome.FAIL)

    assert run_of(night, "22 12:00", 50).open == []
    assert night.state.slow_threshold is None


def slow_night() -> Night:
    """Return a night of three usual runs and a slow one."""
    night = Night(STEADY)
    for when in ("22 01:00", "22 01:10", "22 01:20"):
        run_of(night, when, 10)
    return run_of(night, "22 02:00", 30)


@pytest.mark.parametrize("runs_between", [0, 2])
def test_a_slow_run_is_forgotten_with_what_called_it_slow(runs_between: int) -> None:
    """Or asking for it again would tell of a run that was long past."""
    night = slow_night()
    night.job = replace(STEADY, slower_than=None)
    assert night.clock("22 02:30").open == []
    for number in range(runs_between):
        run_of(night, f"22 03:0{number}", 1)

    night.job = STEADY

    assert night.clock("22 04:00").open == []


def test_a_job_that_returns_is_not_slow() -> None:
    night = slow_night()
    night.state = on_retired(night.state, at("22 03:00")).state

    assert night.clock("22 04:00").open == []
    assert night.state.slow_threshold is None


def test_an_alert_that_opens_again_says_nothing_of_a_later_run() -> None:
    """The last duration known may be that of a run that failed."""
    night = slow_night()
    run_of(night, "22 03:00", 1, outcome=Outcome.FAIL)
    night.job = replace(STEADY, enabled=False)
    night.clock("22 03:10")
    night.job = STEADY
    night.clock("22 03:20")

    (again,) = (a for a in night.last.alerts if a.key.condition.value == "slow")
    assert again.summary == "the last ok run took unusually long"


def test_how_slow_it_was_is_said_in_words() -> None:
    night = Night(STEADY)
    for when in ("22 01:00", "22 01:10", "22 01:20"):
        run_of(night, when, 10)
    run_of(night, "22 02:00", 30)

    (slow,) = night.alerts
    assert slow.summary == "the last run took 30m, usually 10m (limit 20m)"


def test_runs_that_arrive_out_of_order_are_compared_with_those_in_the_window() -> None:
    night = Night(STEADY)
    night.ping("22 02:00", duration=900.0)
    for hour, duration in ((4, 100.0), (6, 110.0), (8, 120.0)):
        night.ping(f"22 {hour:02}:00", duration=duration)
    night.ping("22 09:00", ended_at=at("22 03:00"), duration=130.0)

    night.ping("23 02:30", duration=300.0)

    assert night.open == ["slow"]
    assert night.state.slow_threshold == 2 * 115.0


def test_a_slow_job_whose_state_has_no_threshold_is_slow() -> None:
    """States of the first versions have none."""
    night = Night(STEADY)
    night.state = replace(night.state, slow=True)

    (opened,) = night.clock("22 02:00").alerts

    assert opened.summary == "the last run took unusually long"
