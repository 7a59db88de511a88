"""When a job that did not run is missed, and when it is not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.deadlines import (
    deadline,
    missed_slot,
    next_slot,
    wake_at,
)
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.transitions import on_clock, on_retired, registered
from tests.copies import replace
from tests.core.jobs import BACKUP, SETTINGS, Night, at, told

HOURLY = replace(BACKUP, schedule=parse_cron("0 * * * *", "UTC"), grace=600)
EVERY_HOUR = replace(BACKUP, schedule=Every(3600), grace=600)


@pytest.mark.parametrize(
    ("when", "missed"),
    [
        ("22 02:00", 0),
        ("22 02:29:59", 0),
        ("22 02:30", 0),
        ("22 02:30:01", 1),
        ("23 02:30", 1),
        ("23 02:30:01", 2),
    ],
)
def test_a_run_is_missed_once_its_grace_is_over(when: str, missed: int) -> None:
    """At its deadline it may still come; after it, it is missed."""
    night = Night().clock(when)

    assert night.state.missed_total == missed


def test_a_job_that_never_ran_is_due_from_when_it_was_first_known() -> None:
    known_late = Night(known="22 02:10").clock("22 03:00")

    assert known_late.state.missed_total == 0
    assert told(deadline(BACKUP, known_late.state, SETTINGS)) == "23 02:30:00"


def test_a_miss_is_one_alert_however_long_it_lasts() -> None:
    night = Night().clock("22 03:00").clock("23 03:00").clock("24 03:00")

    assert night.open == ["missed"]
    assert len(night.alerts) == 1
    assert night.state.missed_total == 3


def test_the_alert_bears_the_time_of_the_deadline_not_of_the_look() -> None:
    night = Night().clock("22 09:00")

    assert told(night.alerts[0].alert.opened_at) == "22 02:30:00"
    assert night.alerts[0].summary == "no run finished by 2026-11-22T02:30:00Z"


def test_the_missed_slot_is_the_first_one_without_a_run() -> None:
    night = Night().clock("22 02:30")
    assert missed_slot(BACKUP, night.state) == 0.0

    night.clock("24 12:00")

    assert told(missed_slot(BACKUP, night.state)) == "22 02:00:00"


def test_the_missed_slot_of_a_period_is_that_of_the_last_run() -> None:
    night = Night(EVERY_HOUR).ping("21 13:00").clock("21 18:00")

    assert told(missed_slot(EVERY_HOUR, night.state)) == "21 14:00:00"


def test_the_missed_slot_is_the_same_with_another_grace() -> None:
    """The deadline that passed was that of the old grace."""
    night = Night().clock("22 12:00")

    longer = replace(BACKUP, grace=3600)

    assert told(missed_slot(longer, night.state)) == "22 02:00:00"


def test_the_deadline_stays_where_it_is_until_the_job_runs() -> None:
    night = Night().clock("24 12:00")

    assert told(deadline(BACKUP, night.state, SETTINGS)) == "22 02:30:00"
    assert told(next_slot(BACKUP, night.state, SETTINGS)) == "25 02:00:00"

    night.ping("24 13:00")

    assert night.open == []
    assert told(deadline(BACKUP, night.state, SETTINGS)) == "25 02:30:00"


def test_a_run_that_comes_late_was_missed_even_if_nobody_looked() -> None:
    night = Night().ping("22 02:31")

    opened, resolved = night.alerts
    assert told(opened.alert.opened_at) == "22 02:30:00"
    assert told(resolved.at) == "22 02:31:00"
    assert night.state.missed_total == 1


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.CANCELED])
def test_a_run_that_went_wrong_has_run_all_the_same(outcome: Outcome) -> None:
    night = Night().ping("22 02:10", outcome=outcome).clock("22 12:00")

    assert "missed" not in night.open


def test_a_canceled_run_heals_nothing() -> None:
    night = Night().ping("22 02:10", outcome=Outcome.CANCELED).clock("22 12:00")

    assert night.open == ["missed"]


def test_a_start_is_not_a_run() -> None:
    night = Night().start("22 02:00").clock("22 02:30:01")

    assert night.open == ["missed"]


class TestARunThatStartedInTime:
    JOB = replace(BACKUP, max_runtime=7200)

    def test_has_its_whole_max_runtime(self) -> None:
        night = Night(self.JOB).start("22 02:00").clock("22 04:00")

        assert night.open == []
        assert told(deadline(self.JOB, night.state, SETTINGS)) == "22 04:00:00"

    def test_is_overrunning_and_missed_when_that_is_over(self) -> None:
        night = Night(self.JOB).start("22 02:00").clock("22 04:00:01")

        assert night.open == ["missed", "overrunning"]

    def test_has_the_grace_of_its_slot_at_least(self) -> None:
        short = replace(BACKUP, max_runtime=60)
        night = Night(short).start("22 02:00")

        assert told(deadline(short, night.state, SETTINGS)) == "22 02:30:00"

    def test_and_a_late_start_moves_nothing(self) -> None:
        night = Night(self.JOB).start("22 02:31")

        assert told(deadline(self.JOB, night.state, SETTINGS)) == "22 02:30:00"


class TestARunJustBeforeItsSlot:
    """Clocks differ a little: 01:59:58 is the 02:00 run, not a run of yesterday."""

    @pytest.mark.parametrize(
        ("ended", "next_deadline"),
        [
            ("22 01:59:58", "23 02:30:00"),
            ("22 01:59:00", "23 02:30:00"),
            ("22 01:58:59", "22 02:30:00"),
        ],
    )
    def test_counts_for_that_slot(self, ended: str, next_deadline: str) -> None:
        night = Night().ping(ended)

        assert told(deadline(BACKUP, night.state, SETTINGS)) == next_deadline

    def test_but_at_most_a_tenth_of_the_period_before_it(self) -> None:
        """Of a job that runs each minute, six seconds; not the whole minute."""
        job = replace(BACKUP, schedule=parse_cron("* * * * *", "UTC"), grace=10)
        early = Night(job).ping("22 01:59:55")
        in_time = Night(job).ping("22 01:59:45")

        assert told(deadline(job, early.state, SETTINGS)) == "22 02:01:10"
        assert told(deadline(job, in_time.state, SETTINGS)) == "22 02:00:10"

    def test_unless_it_started_long_before(self) -> None:
        """A long run for the slot before is no early run for the next one."""
        night = Night().ping("22 01:59:58", duration=7200.0)

        assert told(deadline(BACKUP, night.state, SETTINGS)) == "22 02:30:00"


class TestEvery:
    def test_is_due_a_period_after_its_last_run(self) -> None:
        night = Night(EVERY_HOUR).ping("22 02:17")

        assert told(deadline(EVERY_HOUR, night.state, SETTINGS)) == "22 03:27:00"

    def test_counts_each_period_that_passes(self) -> None:
        night = Night(EVERY_HOUR, known="22 00:00").clock("22 03:10:01")

        assert night.state.missed_total == 3
        assert told(deadline(EVERY_HOUR, night.state, SETTINGS)) == "22 01:10:00"


class TestReportsThatComeLate:
    def test_cover_the_slots_they_ran_for_and_no_others(self) -> None:
        night = Night(HOURLY, known="22 00:30").clock("22 04:00")
        assert night.state.missed_total == 3

        night.ping("22 04:01", ended_at=at("22 02:05"))

        assert night.open == ["missed"]
        assert told(deadline(HOURLY, night.state, SETTINGS)) == "22 03:10:00"

        night.ping("22 04:02", ended_at=at("22 03:05"))

        assert night.open == []

    def test_of_an_interval_move_its_next_slot(self) -> None:
        night = Night(EVERY_HOUR, known="22 00:00").clock("22 03:12")
        night.ping("22 03:12", ended_at=at("22 02:30"))

        assert told(deadline(EVERY_HOUR, night.state, SETTINGS)) == "22 03:40:00"


class TestAChangeOfTheConfiguration:
    def test_of_early_leaves_alone_what_has_run(self) -> None:
        generous = replace(BACKUP, early=300)
        night = Night(generous).ping("22 01:56")
        night.job = replace(BACKUP, early=0)
        night.clock("22 01:57").clock("22 03:00")

        assert night.open == []

    def test_of_the_schedule_starts_anew(self) -> None:
        """Weekly becomes hourly: the hours before that are nobody's miss."""
        night = Night().ping("21 12:05")
        night.job = HOURLY
        night.clock("22 01:30")

        assert night.open == []
        assert told(deadline(HOURLY, night.state, SETTINGS)) == "22 02:10:00"

    def test_of_the_schedule_takes_back_a_miss(self) -> None:
        night = Night().clock("22 03:00")
        night.job = HOURLY

        assert night.clock("22 03:01").open == []

    def test_to_more_grace_takes_back_a_miss(self) -> None:
        night = Night().clock("22 03:00")
        night.job = replace(BACKUP, grace=7200)

        assert night.clock("22 03:01").open == []
        assert night.clock("22 04:00:01").open == ["missed"]

    def test_that_pauses_a_job_resolves_its_alerts(self) -> None:
        night = Night().clock("22 03:00")
        night.job = replace(BACKUP, enabled=False)
        night.clock("22 04:00").clock("25 04:00")

        assert night.open == []
        assert deadline(night.job, night.state, SETTINGS) == math.inf
        assert night.state.missed_total == 1

    def test_that_resumes_a_job_expects_it_from_then_on(self) -> None:
        night = Night(replace(BACKUP, enabled=False))
        night.job = BACKUP
        night.clock("24 12:00")

        assert night.state.missed_total == 0
        assert told(deadline(BACKUP, night.state, SETTINGS)) == "25 02:30:00"


class TestClocksThatAreSet:
    def test_a_clock_that_was_far_ahead_does_not_keep_a_job_quiet(self) -> None:
        """A run reported in 2027, by a clock that was then set right."""
        night = Night()
        night._take(on_clock(BACKUP, night.state, at("21 12:00"), SETTINGS))
        ahead = replace(night.state, due_after=at("22 00:00") + 365 * 86400)
        night.state = ahead

        night.clock("22 00:00").clock("22 02:30:01")

        assert night.open == ["missed"]

    def test_a_leap_ahead_is_counted_in_bounded_time(self) -> None:
        job = replace(BACKUP, schedule=parse_cron("* * * * *", "UTC"), grace=10)
        state = registered(job, at("21 12:00"))

        after = on_clock(job, state, at("21 12:00") + 365 * 86400, SETTINGS).state

        assert after.missed_total == 1000
        assert next_slot(job, after, SETTINGS) > at("21 12:00") + 365 * 86400 - 120


def test_a_job_without_a_schedule_is_never_missed() -> None:
    free = replace(BACKUP, schedule=None)
    night = Night(free).clock("30 12:00")

    assert night.open == []
    assert wake_at(free, night.state, SETTINGS) == math.inf


def test_a_schedule_that_never_comes_is_never_missed() -> None:
    never = replace(BACKUP, schedule=parse_cron("0 0 30 2 *", "UTC"))

    assert Night(never).clock("30 12:00").open == []


def test_a_retired_job_has_no_alerts_and_starts_anew_when_it_returns() -> None:
    night = Night().fail("22 02:05").clock("23 03:00")
    assert night.open == ["failing", "missed"]

    gone = on_retired(night.state, at("23 04:00"))
    assert gone.state.alerts == ()
    assert len(gone.alerts) == 2

    night.state = gone.state
    assert night.clock("25 12:00").open == []
    assert told(deadline(BACKUP, night.state, SETTINGS)) == "26 02:30:00"


minutes = st.integers(0, 5000).map(lambda minutes: at("21 12:00") + 60 * minutes)


@given(first=minutes, second=minutes)
def test_waking_up_twice_is_the_same_as_waking_up_late(
    first: float, second: float
) -> None:
    """How often the sweeper looks changes nothing but how soon we know."""
    early, late = sorted((first, second))
    state = registered(HOURLY, at("21 12:00"))

    once = on_clock(HOURLY, state, early, SETTINGS).state
    in_two = on_clock(HOURLY, once, late, SETTINGS).state

    assert in_two == on_clock(HOURLY, state, late, SETTINGS).state


@given(now=minutes)
def test_nothing_becomes_true_before_the_job_wants_to_be_woken(now: float) -> None:
    state = on_clock(HOURLY, registered(HOURLY, at("21 12:00")), now, SETTINGS).state

    just_before = max(now, wake_at(HOURLY, state, SETTINGS))

    assert on_clock(HOURLY, state, just_before, SETTINGS).state is state
