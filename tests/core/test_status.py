"""A job has one state: its worst open condition, or else what it is doing."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Condition, Job, Outcome
from afterrun_exporter.core.state import (
    AlertKey,
    HungRun,
    JobState,
    OpenAlert,
    OpenRun,
    Retry,
)
from afterrun_exporter.core.status import BROKEN, Status, status
from tests.copies import replace
from tests.core.jobs import at

NOON: Final = at("21 12:00")
JOB: Final = Job(name="backup")
OK: Final = JobState(created_at=NOON, due_after=NOON, last_outcome=Outcome.OK)
RUN: Final = OpenRun(run_id="a", attempt=1, started_at=NOON)
HUNG: Final = HungRun(
    run_id="a", attempt=1, started_at=NOON, deadline=NOON, followed_from=NOON
)
RETRY: Final = Retry(
    run_id="a",
    attempt=1,
    max_attempts=2,
    outcome=Outcome.FAIL,
    begun_at=NOON,
    started_at=NOON,
    ended_at=NOON,
    duration=0.0,
    until=NOON + 60,
    covers=0.0,
)
#: Alerts that are no conditions of a job.
NOTICES: Final = {Condition.TEST, Condition.SUCCEEDED}


def alert(condition: Condition) -> OpenAlert:
    return OpenAlert(key=AlertKey(condition), opened_at=NOON, shown_at=NOON)


@given(
    conditions=st.sets(st.sampled_from(Condition)),
    runs=st.integers(0, 2),
    outcome=st.sampled_from([None, *Outcome]),
    loaded=st.booleans(),
)
def test_a_job_with_an_open_condition_is_in_the_state_of_the_worst_one(
    conditions: set[Condition], runs: int, outcome: Outcome | None, loaded: bool
) -> None:
    state = replace(
        OK,
        alerts=tuple(map(alert, conditions)),
        open_runs=(RUN,) * runs,
        last_outcome=outcome,
        loaded=loaded,
    )

    word = status(JOB, state)

    words = {one.value for one in conditions - NOTICES}
    if words:
        order = list(Status)
        assert order.index(word) <= min(order.index(Status(one)) for one in words)
    elif not loaded:
        assert word not in {*BROKEN, Status.UPSTREAM_UNHEALTHY}
    if not words and not loaded and runs:
        assert word is Status.RUNNING


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Status.OK),
        ({"alerts": (alert(Condition.TEST),)}, Status.OK),
        ({"retries": (RETRY,), "open_runs": (RUN,)}, Status.RETRYING),
        ({"last_outcome": None}, Status.NEW),
        ({"last_outcome": None, "open_runs": (RUN,)}, Status.RUNNING),
        ({"loaded": True, "violated": ("rows > 0",)}, Status.VIOLATED),
        (
            {
                "loaded": True,
                "consecutive_failures": 1,
                "last_outcome": Outcome.FAIL,
                "alerts": (alert(Condition.SLOW),),
            },
            Status.FAILING,
        ),
        (
            {
                "hung": (HUNG,),
                "consecutive_failures": 1,
                "last_outcome": Outcome.TIMEOUT,
            },
            Status.FAILING,
        ),
        (
            {
                "hung": (HUNG,),
                "consecutive_failures": 1,
                "last_outcome": Outcome.TIMEOUT,
                "alerts": (alert(Condition.OVERRUNNING),),
            },
            Status.OVERRUNNING,
        ),
    ],
)
def test_what_has_no_alert_counts_as_well(
    changes: dict[str, object], expected: Status
) -> None:
    assert status(JOB, replace(OK, **changes)) is expected


def test_a_paused_job_is_paused_whatever_else_holds() -> None:
    state = replace(OK, open_runs=(RUN,), alerts=(alert(Condition.TEST),))

    assert status(replace(JOB, enabled=False), state) is Status.PAUSED
