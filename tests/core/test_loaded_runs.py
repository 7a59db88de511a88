"""Past runs that are loaded: recorded and counted, and no reason for an alert."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Kind, Outcome
from afterrun_exporter.core.status import Status, status
from tests.copies import replace
from tests.core.jobs import BACKUP, GOOD, Night, at
from tests.core.test_past_runs import WATCHED, WEEKS

FAILED = [Outcome.FAIL, Outcome.TIMEOUT, Outcome.PARTIAL, Outcome.INVALID]
NOW = "22 12:00"


def load(night: Night, ended: str, when: str = NOW, **more: Any) -> Night:
    """Load *when* a run that ended at *ended*."""
    return night.ping(when, ended_at=at(ended), history=True, **more)


@pytest.mark.parametrize("outcome", FAILED)
def test_a_job_whose_newest_run_failed_is_shown_as_failing_without_an_alert(
    outcome: Outcome,
) -> None:
    night = Night(replace(BACKUP, schedule=None))
    load(night, "20 02:10", outcome=outcome)
    for hour in (13, 14):
        night.clock(f"22 {hour}:00")

    assert night.alerts == []
    assert status(night.job, night.state) is Status.FAILING
    assert night.state.consecutive_failures == 1


def test_a_job_whose_newest_run_broke_a_rule_is_shown_so() -> None:
    night = Night(replace(BACKUP, schedule=None))
    load(night, "20 02:10", metrics={**GOOD, "rows": 0.0}).clock("22 13:00")

    assert night.outcomes == ["violated"]
    assert night.alerts == []
    assert status(night.job, night.state) is Status.VIOLATED


@pytest.mark.parametrize(("outcome", "alerting"), [("ok", []), ("fail", ["failing"])])
def test_the_next_run_is_judged_together_with_what_was_loaded(
    outcome: str, alerting: list[str]
) -> None:
    night = Night(replace(BACKUP, schedule=None, after_failures=3))
    for day in (18, 19):
        load(night, f"{day} 02:10", outcome=Outcome.FAIL)
    night.ping("22 13:00", outcome=Outcome(outcome))

    assert night.open == alerting
    assert status(night.job, night.state).value == (alerting or ["ok"])[0]


def test_an_open_alert_stays_open_until_the_next_run() -> None:
    """Also where the loaded run is newer than the one that failed."""
    night = Night(replace(BACKUP, schedule=None)).fail("20 02:10")
    load(night, "21 02:10").clock("22 12:30")
    assert night.open == ["failing"]
    assert night.state.last_outcome is Outcome.OK

    night.ping("22 13:00")
    assert night.open == []


def test_an_alert_that_is_no_longer_asked_for_is_over_all_the_same() -> None:
    night = Night(WATCHED).ping("20 02:10", metrics={**GOOD, "rows": 0.0})
    assert night.open == ["rows > 0"]
    load(night, "10 02:10")

    night.job = replace(WATCHED, rules=())
    assert night.clock("22 12:30").open == []


def test_a_slot_that_is_missed_stays_missed() -> None:
    night = Night().clock("22 02:31")
    load(night, "22 02:10", "22 02:40").clock("22 02:50")

    assert night.open == ["missed"]
    assert night.ping("22 03:00").open == []


def test_a_run_that_was_loaded_in_time_is_not_missed() -> None:
    night = load(Night(), "22 02:10", "22 02:20").clock("22 12:00")

    assert night.alerts == []


def test_the_last_ping_is_when_the_run_ended() -> None:
    assert load(Night(), "22 02:10", NOW).state.last_ping_at == at("22 02:10")
    night = load(Night().ping("22 11:00"), "10 02:10")
    assert night.state.last_ping_at == at("22 11:00")


def test_open_runs_are_others_unless_they_have_the_id() -> None:
    night = Night().start("22 11:00").start("22 11:01", run_id="a")
    load(night, "10 02:10", run_id="b")
    load(night, "10 02:20")
    assert len(night.state.open_runs) == 2

    load(night, "22 11:50", run_id="a")
    assert [run.run_id for run in night.state.open_runs] == [None]
    assert night.runs[-1].duration == 2940


def test_a_failed_attempt_of_the_past_waits_for_no_other() -> None:
    night = Night(replace(BACKUP, schedule=None))
    more: dict[str, Any] = {"run_id": "a", "attempt": 1, "max_attempts": 3}
    load(night, "10 02:10", outcome=Outcome.FAIL, **more).clock("23 12:00")

    assert night.state.retries == ()
    assert night.state.runs_total == 0
    assert [run.is_retried for run in night.runs] == [True]
    assert night.alerts == []


def test_a_file_that_is_loaded_twice_counts_once() -> None:
    """With ids or without, and on whatever day."""
    night = Night(WATCHED)
    runs: list[dict[str, Any]] = [
        {**run, "run_id": f"run-{number}" if number % 2 else None}
        for number, run in enumerate(WEEKS[:15])
    ]
    for when in (NOW, "23 12:00"):
        for run in runs:
            load(night, when=when, **run)

    assert night.state.runs_total == len(runs)
    assert night.state.duplicates_total == len(runs)
    assert night.last.duplicate_of == len(runs)


def test_a_job_that_is_paused_stays_paused() -> None:
    night = Night(replace(BACKUP, enabled=False))
    load(night, "22 11:00", outcome=Outcome.FAIL).clock("22 13:00")

    assert night.alerts == []


runs = st.fixed_dictionaries(
    {
        "ended": st.sampled_from(
            [f"{day:02} {hour}" for day in range(1, 22) for hour in ("02:10", "14:00")]
        ),
        "outcome": st.sampled_from([*FAILED, Outcome.OK, Outcome.CANCELED]),
        "metrics": st.sampled_from([GOOD, {**GOOD, "rows": 0.0}]),
        "duration": st.sampled_from([None, 60.0, 6000.0]),
    }
)


@given(st.lists(runs, max_size=20), st.lists(runs, max_size=3), st.booleans())
def test_whatever_is_loaded_opens_and_resolves_nothing(
    past: list[dict[str, Any]], live: list[dict[str, Any]], started: bool
) -> None:
    """In any order, before and after live reports; then time passes."""
    night = Night(WATCHED, known="01 00:00")
    if started:
        night.start("21 23:00", run_id="x")
    for run in live:
        night.ping(NOW, ended_at=at(run["ended"]), **_but_for_end(run))
    night.clock("22 13:00")
    before = night.open, len(night.alerts)
    for run in past:
        load(night, when="22 13:00", **run)
        night.clock("22 13:00")
    night.clock("22 14:00").ping("22 14:01", Kind.LOG)

    if past:
        assert (night.open, len(night.alerts)) == before
    assert len(night.runs) == night.state.recorded


def _but_for_end(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != "ended"}


def test_a_loaded_attempt_is_of_as_many_as_the_configuration_says() -> None:
    night = Night(replace(BACKUP, schedule=None, max_attempts=3))

    load(night, "20 02:10", outcome=Outcome.FAIL, run_id="a", has_attempt=True)

    assert night.state.attempts_total == 1
    assert night.runs[0].max_attempts == 3


@pytest.mark.parametrize(
    ("condition", "setting"),
    [("slow", "slower_than"), ("success_ratio_low", "success_ratio")],
)
def test_an_alert_that_looks_back_stays_while_the_job_has_its_setting(
    condition: str, setting: str
) -> None:
    night = Night(WATCHED)
    for hour in (1, 2, 3):
        night.ping(f"22 0{hour}:00", duration=60.0)
    night.fail("22 04:00").ping("22 05:00", duration=600.0)
    assert condition in night.open

    load(night, "20 02:10", "22 06:00", duration=1.0)
    assert condition in night.open

    night.job = replace(night.job, **{setting: None})
    load(night, "20 03:10", "22 07:00", duration=1.0)
    assert condition not in night.open


def test_a_disabled_job_has_no_alerts_whatever_is_loaded() -> None:
    night = Night(replace(WATCHED, success_ratio=None)).fail("22 02:00")
    night.job = replace(night.job, enabled=False)

    load(night, "20 02:10")

    assert night.open == []
