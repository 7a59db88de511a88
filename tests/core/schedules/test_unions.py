"""Schedules with several expressions: a run is due at each slot of any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.schedule import (
    Calendar,
    early_limit,
    parse_cron,
    parse_oncalendar,
)
from afterrun_exporter.core.schedules import slots

from .times import after, shown, slots_until, unix


def test_a_run_is_due_at_each_slot_and_once_at_equal_ones() -> None:
    schedule = parse_cron(["0 9 * * 1-5", "0 10 * * 6", "0 9 1 * *"], "Europe/Riga")
    found = after(schedule, unix("2026-11-27T07:00:00Z"))

    assert [shown(next(found), "Europe/Riga") for _ in range(4)] == [
        "Nov 28 10:00 +0200",
        "Nov 30 09:00 +0200",
        "Dec 01 09:00 +0200",
        "Dec 02 09:00 +0200",
    ]
    assert schedule.text == "0 9 * * 1-5; 0 10 * * 6; 0 9 1 * *"


def test_an_expression_that_is_listed_twice_is_kept_once() -> None:
    assert parse_cron(["@daily", "0 0  * * *"], "UTC") == parse_cron("@daily", "UTC")


def test_expressions_of_systemd_have_their_own_zones() -> None:
    schedule = parse_oncalendar(["08:00 Asia/Tokyo", "08:00"], "Europe/Berlin")
    found = after(schedule, unix("2026-11-22T12:00:00Z"))

    assert [shown(next(found), "UTC") for _ in range(3)] == [
        "Nov 22 23:00 +0000",
        "Nov 23 07:00 +0000",
        "Nov 23 23:00 +0000",
    ]


def test_a_problem_of_any_expression_is_a_problem() -> None:
    with pytest.raises(ValueError, match="hour '25' is out of range"):
        parse_cron(["@daily", "0 25 * * *"], "UTC")


def test_the_next_slot_of_any_expression_limits_early_runs() -> None:
    schedule = parse_cron(["0 2 * * *", "5 2 * * *"], "UTC")

    assert early_limit(schedule, unix("2026-11-22T02:00Z"), 60) == 30


def test_many_expressions_share_blocks_of_the_usual_size() -> None:
    schedule = parse_cron([f"{minute} * * * *" for minute in range(60)], "UTC")
    schedule.next_after(0.0)

    assert slots.width(schedule.source) == 6 * 3600


EXPRESSIONS = st.sampled_from(
    [
        *("0 2 * * *", "30 2 * * *", "*/20 * * * *", "0 */3 * * *", "0 0 1 * *"),
        *("15 3 * * SUN#1,0L", "30 0,23 * * *", "0 12 29 2 *", "*/13 1-3 * * 0"),
    ]
)
ONCALENDAR = st.sampled_from(
    [
        *("02:30", "*:0/20", "Sun 03:00 Europe/Berlin", "*-*~1 23:59:30", "2027-01-01"),
        *("Mon..Fri 9..17:00", "quarterly", "01:30 America/New_York"),
    ]
)
ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Riga",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/St_Johns",
    ]
)
#: Around clock changes, too.
INSTANTS = st.floats(
    unix("2026-01-01T00:00Z"), unix("2027-04-01T00:00Z")
) | st.sampled_from(
    [
        unix(text)
        for text in ("2026-03-08T05:00Z", "2026-03-29T00:00Z", "2026-10-25T00:00Z")
    ]
)
SCHEDULES = st.builds(
    parse_cron, st.lists(EXPRESSIONS, min_size=1, max_size=4), ZONES
) | (st.builds(parse_oncalendar, st.lists(ONCALENDAR, min_size=1, max_size=4), ZONES))


@given(SCHEDULES, INSTANTS)
def test_slots_are_those_of_all_expressions_in_order(
    schedule: Calendar, start: float
) -> None:
    end = start + 9 * 86400
    parse = parse_cron if schedule.syntax is slots.Syntax.CRON else parse_oncalendar
    each = (parse(one, schedule.zone) for one in schedule.expressions)

    expected = sorted({slot for one in each for slot in slots_until(one, start, end)})

    assert slots_until(schedule, start, end) == expected


@given(SCHEDULES, st.lists(INSTANTS, min_size=2, max_size=8))
def test_the_order_of_instants_changes_no_slot(
    schedule: Calendar, instants: list[float]
) -> None:
    found = {instant: schedule.next_after(instant) for instant in instants}
    slots.block.cache_clear()
    fresh = Calendar(schedule.source)

    assert found == {one: fresh.next_after(one) for one in sorted(instants)}
    assert all(slot > instant for instant, slot in found.items())


@given(SCHEDULES, INSTANTS, st.integers(0, 20 * 86400))
def test_slots_are_counted_as_they_come(
    schedule: Calendar, start: float, length: int
) -> None:
    first = schedule.next_after(start)
    if first == float("inf"):
        return
    following = slots_until(schedule, first, first + length + 0.5)

    assert schedule.between(first, first + length) == (
        len(following) + 1,
        following[-1] if following else first,
    )
