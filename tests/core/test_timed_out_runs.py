"""A failing job with a run that timed out: its alert says so, and goes on saying so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Kind, Outcome
from afterrun_exporter.core.state import AlertOpened
from tests.copies import replace

from .jobs import BACKUP, Night, at, told

OK, FAIL, TIMEOUT = Outcome.OK, Outcome.FAIL, Outcome.TIMEOUT
VIOLATED = "violated"


def runs(*outcomes: Any, **more: Any) -> Night:
    """Return a night with a run every ten minutes."""
    night = Night(replace(BACKUP, schedule=None, **more))
    for number, outcome in enumerate(outcomes):
        when = told(at("22 02:00") + 600 * number)
        if outcome == VIOLATED:
            night.ping(when, metrics={})
        else:
            night.ping(when, outcome=outcome)
    return night


def opened(night: Night) -> list[bool]:
    """Return, for each time that the failure was told, whether it said timed out."""
    events = (event for event in night.alerts if isinstance(event, AlertOpened))
    return [
        event.alert.timed_out for event in events if event.key.condition == "failing"
    ]


@pytest.mark.parametrize(
    ("outcomes", "more", "expected"),
    [
        ((TIMEOUT,), {}, [True]),
        ((FAIL,), {}, [False]),
        # It is told once more when a run times out, and never the other way round.
        ((FAIL, TIMEOUT), {}, [False, True]),
        ((TIMEOUT, FAIL, TIMEOUT, FAIL), {}, [True]),
        ((TIMEOUT, FAIL), {"after_failures": 2}, [True]),
        ((FAIL, TIMEOUT), {"after_failures": 2}, [True]),
        ((TIMEOUT, VIOLATED, FAIL), {"after_failures": 3}, [True]),
        ((TIMEOUT, OK, FAIL), {}, [True, False]),
        ((TIMEOUT, OK, FAIL, FAIL), {"after_failures": 2}, [False]),
        ((FAIL, OK, TIMEOUT), {}, [False, True]),
        # It has not ended meanwhile.
        ((TIMEOUT, OK, FAIL), {"recover_after": 2}, [True]),
        ((FAIL, Outcome.CANCELED, TIMEOUT), {}, [False, True]),
    ],
)
def test_it_is_told_of_those_runs_that_the_job_failed_with(
    outcomes: tuple[Any, ...], more: dict[str, Any], expected: list[bool]
) -> None:
    assert opened(runs(*outcomes, **more)) == expected


def test_it_is_one_alert_all_the_same() -> None:
    night = runs(FAIL, TIMEOUT)

    (alert,) = night.state.alerts
    assert told(alert.opened_at) == "22 02:00:00"
    assert told(alert.shown_at) == "22 02:10:00"
    assert night.ping("22 02:20").open == []


def test_a_run_that_never_ended_has_timed_out() -> None:
    night = Night(replace(BACKUP, max_runtime=3600)).start("22 02:00").start("23 02:00")
    assert opened(night) == []

    night.fail("23 02:10")

    assert opened(night) == [True]


def test_what_never_was_heard_of_again_has_timed_out() -> None:
    night = Night(replace(BACKUP, heartbeat=300)).start("22 02:00")
    night.ping("22 02:04", Kind.PROGRESS).start("23 02:00").fail("23 02:10")

    assert opened(night) == [True]


@given(st.lists(st.sampled_from([OK, FAIL, TIMEOUT, VIOLATED]), max_size=12))
def test_it_says_so_exactly_while_a_run_did_since_the_last_good_one(
    outcomes: list[Any],
) -> None:
    night = Night(replace(BACKUP, schedule=None))
    since_ok: list[Any] = []
    for number, outcome in enumerate(outcomes):
        when = told(at("22 02:00") + 600 * number)
        more: dict[str, Any] = {"outcome": outcome}
        night.ping(when, **({"metrics": {}} if outcome == VIOLATED else more))
        since_ok = [] if outcome is OK else [*since_ok, outcome]

        failing = [a for a in night.state.alerts if a.key.condition == "failing"]
        assert bool(failing) is (bool(since_ok) and since_ok[-1] != VIOLATED)
        if failing:
            assert failing[0].timed_out is (TIMEOUT in since_ok)
            assert night.state.timed_out is failing[0].timed_out
