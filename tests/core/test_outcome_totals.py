"""Runs are counted by outcome, whatever else they change."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.core.outcome_totals import runs_by_outcome
from tests.copies import replace
from tests.core.jobs import Night

PLAIN = Job(name="backup")


@given(st.lists(st.sampled_from([one for one in Outcome if one != "violated"])))
def test_every_outcome_has_its_own_total(outcomes: list[Outcome]) -> None:
    night = Night(PLAIN)
    for number, outcome in enumerate(outcomes):
        night.ping("21 12:00", run_id=str(number), outcome=outcome)

    assert runs_by_outcome(night.state) == Counter(outcomes)


def test_each_of_some_outcomes_is_counted() -> None:
    night = Night(PLAIN)
    for number, outcome in enumerate((Outcome.TIMEOUT, Outcome.SKIPPED, Outcome.FAIL)):
        night.ping("21 12:00", run_id=str(number), outcome=outcome)

    assert night.state.other_totals == (0, 1, 0, 0, 1)
    assert runs_by_outcome(night.state) == {
        Outcome.TIMEOUT: 1,
        Outcome.SKIPPED: 1,
        Outcome.FAIL: 1,
    }


def test_earlier_runs_count_as_ok_or_fail() -> None:
    """Of a state from before the totals were kept."""
    night = Night(PLAIN)
    old = replace(night.state, runs_total=5, failures_total=2, violating_total=1)

    assert runs_by_outcome(old) == {
        Outcome.OK: 2,
        Outcome.FAIL: 2,
        Outcome.VIOLATED: 1,
    }
