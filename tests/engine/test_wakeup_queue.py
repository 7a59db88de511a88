from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.engine.wakeup_queue import WakeupQueue


def test_jobs_come_up_when_their_time_has_come_and_once() -> None:
    wakeups = WakeupQueue()
    wakeups.plan("late", 20)
    wakeups.plan("early", 10)

    assert wakeups.take_due(9) == []
    assert wakeups.take_due(10) == ["early"]
    assert wakeups.take_due(10) == []
    assert wakeups.take_due(99) == ["late"]


def test_what_never_happens_is_not_planned() -> None:
    wakeups = WakeupQueue()
    wakeups.plan("never", math.inf)

    assert wakeups.take_due(math.inf) == []


@given(st.lists(st.integers(0, 50), min_size=1))
def test_a_job_comes_up_at_the_earliest_time_it_was_planned_for(
    times: list[int],
) -> None:
    wakeups = WakeupQueue()
    for when in times:
        wakeups.plan("job", when)

    assert wakeups.take_due(min(times) - 1) == []
    assert wakeups.take_due(min(times)) == ["job"]


def test_the_next_check_is_the_earliest_one() -> None:
    wakeups = WakeupQueue()
    assert wakeups.next() == math.inf

    wakeups.plan("late", 20)
    wakeups.plan("early", 10)

    assert wakeups.next() == 10
    assert (wakeups.when("late"), wakeups.when("unknown")) == (20, -math.inf)
    wakeups.clear()
    assert wakeups.next() == math.inf
