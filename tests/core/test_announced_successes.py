"""Ok runs that somebody wants to hear of."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.alerts import SUCCEEDED, is_visible
from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.state import AlertOpened, AlertResolved
from afterrun_exporter.core.status import Status, status
from tests.copies import replace

from .jobs import SETTINGS, Night, at


def announcing(**more: object) -> Night:
    night = Night(**more)  # type: ignore[arg-type]
    night.state = replace(night.state, announces_success=True)
    return night


def test_an_ok_run_is_shown_for_a_minute() -> None:
    night = announcing().ping("22 02:05", duration=90.0)

    (opened,) = night.alerts
    assert isinstance(opened, AlertOpened)
    assert (opened.severity, opened.summary) == (
        "none",
        "the run ended ok after 1m30s",
    )
    assert wake_at(night.job, night.state, SETTINGS) == at("22 02:06")
    assert night.clock("22 02:05:59").open == ["succeeded"]
    assert night.clock("22 02:06").open == []
    assert isinstance(night.alerts[-1], AlertResolved)
    assert not is_visible(night.state, SUCCEEDED)
    assert night.state.success_until == 0.0


def test_nothing_is_wrong_with_its_job() -> None:
    night = announcing().ping("22 02:05")

    assert status(night.job, night.state) is Status.OK


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.OK])
def test_no_other_run_is_announced(outcome: Outcome) -> None:
    night = announcing().ping("22 02:05", outcome=outcome)

    assert "succeeded" not in night.open


def test_a_run_that_breaks_a_rule_is_not_announced() -> None:
    assert announcing().ping("22 02:05", metrics={"rows": 0}).state.success_until == 0.0


def test_a_repeat_and_a_run_before_the_last_are_not_announced() -> None:
    night = announcing().ping("22 02:05", run_id="a").clock("22 02:06")
    night.ping("22 02:07", run_id="a")
    night.ping("22 02:08", run_id="b", ended_at=at("22 02:01"))

    assert len([one for one in night.alerts if isinstance(one, AlertOpened)]) == 1


def test_the_next_one_is_announced_again() -> None:
    night = announcing().ping("22 02:05").clock("22 02:07").ping("23 02:05")

    assert len([one for one in night.alerts if isinstance(one, AlertOpened)]) == 2


def test_nothing_is_announced_where_nobody_wants_it() -> None:
    assert Night().ping("22 02:05").alerts == []


def test_a_clock_that_is_set_back_does_not_show_it_for_longer() -> None:
    night = announcing().ping("22 02:05").clock("22 01:00")

    assert night.open == ["succeeded"]
    assert night.clock("22 01:01").open == []
