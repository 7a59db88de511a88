from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.engine.wakeup_queue import Agenda


def test_jobs_come_up_when_their_time_has_come_and_once() -> None:
    agenda = Agenda()
    agenda.plan("late", 20)
    agenda.plan("early", 10)

    assert agenda.take_due(9) == []
    assert agenda.take_due(10) == ["early"]
    assert agenda.take_due(10) == []
    assert agenda.take_due(99) == ["late"]


def test_what_never_happens_is_not_planned() -> None:
    agenda = Agenda()
    agenda.plan("never", math.inf)

    assert agenda.take_due(math.inf) == []


@given(st.lists(st.integers(0, 50), min_size=1))
def test_a_job_comes_up_at_the_earliest_time_it_was_planned_for(
    times: list[int],
) -> None:
    agenda = Agenda()
    for when in times:
        agenda.plan("job", when)

    assert agenda.take_due(min(times) - 1) == []
    assert agenda.take_due(min(times)) == ["job"]
