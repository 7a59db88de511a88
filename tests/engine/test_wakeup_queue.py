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


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 90)), max_size=300))
def test_outdated_entries_do_not_accumulate(plans: list[tuple[str, int]]) -> None:
    """A job may be checked a thousand times before the deadline that is planned."""
    wakeups = WakeupQueue()
    planned: dict[str, float] = {}
    for now, (name, seconds) in enumerate(plans):
        due = {job for job, when in planned.items() if when <= now}
        assert {*wakeups.take_due(now)} == due
        planned = {job: when for job, when in planned.items() if job not in due}
        for when in (now + 100_000, now + seconds):
            wakeups.plan(name, when)
            planned[name] = min(planned.get(name, math.inf), when)

        assert wakeups.next() <= min(planned.values())
        assert len(wakeups) <= 2 * len(planned) + 64


def test_a_job_that_is_checked_often_before_its_deadline_has_few_entries() -> None:
    wakeups = WakeupQueue()
    for now in range(1000):
        wakeups.plan("job", 86_400 + now)
        wakeups.plan("job", now + 1)
        assert wakeups.take_due(now + 1) == ["job"]

    wakeups.plan("job", 90_000)
    assert len(wakeups) <= 66
    assert wakeups.take_due(90_000) == ["job"]
