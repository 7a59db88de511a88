"""Jobs on days on which no run is due, and changes of those days."""

from __future__ import annotations

import math

import pytest

from afterrun_exporter.core.deadlines import (
    covered_by,
    deadline,
    have_same_times,
    missed_slot,
    next_slot,
    schedule_text,
)
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.run_limits import is_abandoned
from afterrun_exporter.core.schedule import Every, parse_cron, parse_oncalendar
from afterrun_exporter.core.unchanged_jobs import quiet_until
from tests.copies import replace
from tests.core.jobs import BACKUP, SETTINGS, Night, at, told


def excluding(*days: str) -> Job:
    return replace(BACKUP, schedule=parse_cron("0 2 * * *", "UTC", days))


WEEKDAYS = excluding("saturday", "sunday")


def test_no_run_is_missed_on_an_excluded_day() -> None:
    """22 November 2026 is a Sunday."""
    night = Night(WEEKDAYS).clock("23 02:29")
    assert (night.open, night.state.missed_total) == ([], 0)
    assert told(next_slot(WEEKDAYS, night.state, SETTINGS)) == "23 02:00:00"

    night.clock("23 02:31")

    assert (night.open, night.state.missed_total) == (["missed"], 1)
    assert told(missed_slot(WEEKDAYS, night.state)) == "23 02:00:00"


def test_a_run_on_an_excluded_day_counts() -> None:
    """It is judged like any other, and covers no later slot."""
    night = Night(WEEKDAYS).ping("22 02:05", metrics={"rows": 0.0})

    assert night.outcomes == ["violated"]
    assert told(deadline(WEEKDAYS, night.state, SETTINGS)) == "23 02:30:00"


def test_a_run_before_an_excluded_day_covers_no_slot_after_it() -> None:
    assert covered_by(WEEKDAYS, at("21 01:59:30"), None) == at("21 01:59:30")
    assert covered_by(WEEKDAYS, at("23 01:59:30"), None) == at("23 02:00")


def test_a_miss_before_an_excluded_day_stays() -> None:
    night = Night(WEEKDAYS, known="19 12:00").clock("22 12:00")

    assert (night.open, night.state.missed_total) == (["missed"], 1)


@pytest.mark.parametrize("days", [("2026-12-24",), ("sunday",), ()])
def test_other_excluded_days_do_not_end_a_miss(days: tuple[str, ...]) -> None:
    """Dates of the past are cleaned up; the alert stays as it is."""
    night = Night(excluding("2026-11-01"), known="20 12:00").clock("21 12:00")
    opened = night.state.missed_deadline

    night.job = excluding(*days)
    night.clock("21 12:01")

    assert night.open == ["missed"]
    assert night.state.missed_deadline == opened
    assert told(missed_slot(night.job, night.state)) == "21 02:00:00"


def test_a_day_that_is_excluded_later_is_not_missed() -> None:
    night = Night().clock("22 12:00")
    assert night.open == ["missed"]

    night.job = excluding("2026-11-22")
    night.clock("22 12:01")

    assert night.open == []
    assert told(deadline(night.job, night.state, SETTINGS)) == "23 02:30:00"


def test_a_slot_of_the_past_that_is_no_longer_excluded_is_not_missed() -> None:
    night = Night(WEEKDAYS).clock("22 12:00")

    night.job = BACKUP
    night.clock("22 12:01")

    assert (night.open, night.state.missed_total) == ([], 0)
    assert told(deadline(BACKUP, night.state, SETTINGS)) == "23 02:30:00"


def test_a_slot_within_its_grace_is_still_due_when_excluded_days_change() -> None:
    night = Night(excluding("2026-11-01")).clock("22 02:10")

    night.job = BACKUP
    night.clock("22 02:20").clock("22 02:31")

    assert night.open == ["missed"]


def test_past_slots_do_not_add_to_a_miss() -> None:
    night = Night(WEEKDAYS, known="19 12:00").clock("22 12:00")
    assert night.state.missed_total == 1

    night.job = BACKUP
    night.clock("22 12:01")
    assert night.state.missed_total == 1

    assert night.clock("23 02:31").state.missed_total == 2


def test_a_job_is_checked_when_its_excluded_days_change() -> None:
    night = Night().ping("22 02:05")

    assert quiet_until(BACKUP, night.state, at("22 03:00"), SETTINGS) is not None
    assert quiet_until(WEEKDAYS, night.state, at("22 03:00"), SETTINGS) is None


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (parse_cron("0 2 * * *", "UTC"), "0 2 * * * UTC"),
        (parse_cron(["0 2 * * *", "@hourly"], "UTC"), "0 2 * * *; 0 * * * * UTC"),
        (parse_oncalendar("daily", "Europe/Riga"), "daily Europe/Riga"),
        (
            parse_cron("0 2 * * *", "UTC", ("sunday", "holidays DE")),
            "0 2 * * * UTC except sunday, holidays DE",
        ),
        (Every(60), "every 1m"),
        (None, ""),
    ],
)
def test_a_state_knows_the_schedule_that_it_belongs_to(
    schedule: object, text: str
) -> None:
    assert schedule_text(replace(BACKUP, schedule=schedule)) == text
    assert have_same_times(text, text.partition(" except ")[0])
    assert not have_same_times(text, "0 3 * * * UTC except sunday")


def test_a_job_whose_schedule_has_ended_is_never_due_again() -> None:
    once = replace(BACKUP, schedule=parse_oncalendar("2026-11-22 02:00", "UTC"))
    night = Night(once).clock("22 02:31")
    assert night.open == ["missed"]

    night.ping("22 03:00").clock("29 12:00")

    assert night.open == []
    assert deadline(once, night.state, SETTINGS) == math.inf


def test_a_run_after_the_last_slot_is_abandoned_after_a_day() -> None:
    """There is no period to go by."""
    once = replace(BACKUP, schedule=parse_oncalendar("2026-11-22 02:00", "UTC"))
    night = Night(once).start("22 02:00", run_id="a")
    (run,) = night.state.open_runs

    assert not is_abandoned(once, night.state, run, at("23 02:00"))
    assert is_abandoned(once, night.state, run, at("23 02:01"))
