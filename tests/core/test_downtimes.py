"""Slots and limits that pass while no report can arrive."""

from __future__ import annotations

import math
from typing import Any

import pytest

from afterrun_exporter.core.deadlines import deadline, is_unchanged, next_slot, wake_at
from afterrun_exporter.core.model import Concurrency, Job, Kind, Outcome, Settings
from afterrun_exporter.core.run_limits import next_overrunning, run_deadline
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.transitions import on_clock, registered
from afterrun_exporter.storage.codec import decode_state, encode_state
from tests.copies import replace

from .jobs import BACKUP, Night, at, told

HOURLY = replace(BACKUP, schedule=parse_cron("0 * * * *", "UTC"), grace=600, rules=())
EVERY_HOUR = replace(HOURLY, schedule=Every(3600))
FREE = replace(HOURLY, schedule=None)

#: A start at 10:00.
RESTART = Settings(up_since=at("22 10:00"), settled_at=at("22 10:02"))


def down(since: str, until: str, settled: str) -> Settings:
    return Settings(down_since=at(since), up_since=at(until), settled_at=at(settled))


def after_restart(job: Job, settings: Settings = RESTART, ran: str = "21 23:05") -> Any:
    """Return a night in which *job* ran, and then the daemon was down until 10:00."""
    night = Night(job, known="21 22:01").ping(ran)
    night.settings = settings
    return night


class TestASlotThatWasDueInADowntime:
    def test_is_not_missed_but_unobserved_once_the_daemon_is_settled(self) -> None:
        night = after_restart(HOURLY).clock("22 10:02")
        assert (night.open, night.state.unobserved_total) == ([], 0)

        night.clock("22 10:02:01")

        assert night.open == []
        assert (night.state.missed_total, night.state.unobserved_total) == (0, 10)
        lost = night.state.unobserved
        assert (lost.count, told(lost.first)) == (10, "22 00:00:00")
        assert (told(lost.last), told(lost.up_since)) == ("22 09:00:00", "22 10:00:00")
        (entry,) = night.logs
        assert entry.message == (
            "10 slots from 2026-11-22T00:00:00Z to 2026-11-22T09:00:00Z are unobserved: "
            "no report could arrive until 2026-11-22T10:00:00Z"
        )

    @pytest.mark.parametrize("job", [HOURLY, EVERY_HOUR], ids=["cron", "every"])
    def test_is_decided_by_the_next_one(self, job: Job) -> None:
        night = after_restart(job)
        due = {HOURLY: "22 10:10:00", EVERY_HOUR: "22 11:10:00"}[job]
        for when in ("22 10:00:30", "22 10:02:01", "22 10:09"):
            night.clock(when)
            assert told(deadline(job, night.state, RESTART)) == due

        late = told(at(due[:-3]) + 1)
        night.clock(late)

        assert night.open == ["missed"]
        assert told(night.alerts[0].alert.opened_at) == due
        assert night.state.unobserved is None
        assert night.state.missed_total == 1

    def test_stays_so_until_the_next_one_however_far_that_is(self) -> None:
        night = Night(BACKUP, settings=RESTART).clock("22 10:03").clock("23 02:30")

        assert night.state.unobserved is not None
        assert wake_at(BACKUP, night.state, RESTART) == at("23 02:30")
        assert is_unchanged(BACKUP, night.state, at("22 11:00"), at("23 02:30"))

    def test_is_never_shown_as_the_next_one(self) -> None:
        night = after_restart(HOURLY).clock("22 10:00:30")

        assert told(next_slot(HOURLY, night.state, RESTART)) == "22 10:00:00"
        assert wake_at(HOURLY, night.state, RESTART) == RESTART.settled_at

    @pytest.mark.parametrize("outcome", Outcome)
    def test_is_history_once_the_job_reports(self, outcome: Outcome) -> None:
        night = (
            after_restart(HOURLY).clock("22 10:03").ping("22 10:05", outcome=outcome)
        )

        assert night.state.unobserved is None
        assert night.state.unobserved_total == 10

    @pytest.mark.parametrize("job", [HOURLY, EVERY_HOUR], ids=["cron", "every"])
    def test_is_covered_by_a_report_from_a_spool(self, job: Job) -> None:
        night = after_restart(job)
        for hour in range(10):
            ended = at(f"22 {hour:02}:05")
            night.ping("22 10:01", ended_at=ended, run_id=str(hour))
        night.clock("22 10:05")

        assert night.alerts == []
        assert (night.state.missed_total, night.state.unobserved_total) == (0, 0)
        due = {HOURLY: "22 10:10:00", EVERY_HOUR: "22 10:15:00"}[job]
        assert told(deadline(job, night.state, RESTART)) == due

    def test_is_covered_by_a_report_that_comes_after_that(self) -> None:
        night = after_restart(HOURLY).clock("22 10:03")
        for hour in range(10):
            unobserved = night.state.unobserved
            assert (unobserved.count, unobserved.first) == (
                10 - hour,
                at(f"22 {hour:02}:00"),
            )
            ended = at(f"22 {hour:02}:05")
            night.ping("22 10:04", ended_at=ended, run_id=str(hour))

        assert night.state.unobserved is None
        assert night.state.unobserved_total == 10

    def test_says_nothing_more_of_a_job_that_is_missed_already(self) -> None:
        night = Night(HOURLY).clock("21 23:30")
        night.settings = down("22 00:30", "22 10:00", "22 10:02")
        night.clock("22 10:03")

        assert night.open == ["missed"]
        assert told(deadline(HOURLY, night.state, night.settings)) == "21 13:10:00"
        assert night.state.unobserved is None
        assert (night.state.missed_total, night.state.unobserved_total) == (12, 9)

        # A run for what was missed makes up for that.
        night.ping("22 10:04", ended_at=at("22 00:20"))
        assert night.open == []

    def test_is_no_end_of_a_miss_after_it(self) -> None:
        night = after_restart(HOURLY).clock("22 10:03").clock("22 10:11")
        assert night.open == ["missed"]

        night.ping("22 10:12", ended_at=at("22 09:05"))
        assert night.open == ["missed"]

        night.ping("22 10:13", ended_at=at("22 10:05"))
        assert night.open == []

    def test_is_judged_by_the_last_run_where_the_job_was_missed_before_it(self) -> None:
        """As where it was not; and the alert goes on, as the next slot has passed."""
        night = Night(EVERY_HOUR, known="21 22:01").ping("21 23:05").clock("22 00:16")
        night.settings = down("22 00:30", "22 10:00", "22 10:02")
        night.clock("22 10:02:01")
        assert night.state.unobserved_total == 9
        assert night.open == ["missed"]

        night.ping("22 10:10", ended_at=at("22 08:55"))
        night.clock("22 10:10:01")
        assert [told(event.alert.opened_at) for event in night.alerts] == [
            "22 00:15:00"
        ]

    def test_survives_a_restart(self) -> None:
        state = after_restart(HOURLY).clock("22 10:03").state

        assert decode_state(encode_state(state), state.run_keys) == state

    def test_of_a_job_that_never_ran(self) -> None:
        night = Night(HOURLY, known="22 08:30")
        night.settings = RESTART

        assert night.clock("22 10:03").state.unobserved_total == 1

    @pytest.mark.parametrize(
        "change", [{"enabled": False}, {"schedule": parse_cron("5 * * * *", "UTC")}]
    )
    def test_is_forgotten_when_nothing_is_expected_of_the_job(
        self, change: Any
    ) -> None:
        night = after_restart(HOURLY).clock("22 10:03")
        night.job = replace(HOURLY, **change)

        assert night.clock("22 10:04").state.unobserved is None
        night.job = HOURLY
        assert night.clock("22 10:05").state.unobserved is None
        assert told(deadline(HOURLY, night.state, RESTART)) == "22 11:10:00"

    def test_is_counted_in_bounded_time(self) -> None:
        minutely = replace(HOURLY, schedule=parse_cron("* * * * *", "UTC"), grace=10)
        start = at("21 12:00") + 365 * 86400
        settings = Settings(up_since=start, settled_at=start + 120)
        state = registered(minutely, at("21 12:00"))

        after = on_clock(minutely, state, start + 121, settings).state

        assert (after.missed_total, after.unobserved_total) == (2, 365 * 1440 - 1)


class TestADowntime:
    """From 00:30 to 10:00."""

    SETTINGS = down("22 00:30", "22 10:00", "22 10:02")

    def test_excuses_nothing_that_was_due_before_it(self) -> None:
        night = after_restart(HOURLY, self.SETTINGS).clock("22 10:00:01")

        assert night.open == ["missed"]
        assert told(night.alerts[0].alert.opened_at) == "22 00:10:00"

    def test_holds_back_what_began_in_it_until_the_daemon_is_settled(self) -> None:
        hasty = replace(HOURLY, grace=60)
        night = after_restart(hasty, ran="22 09:01").clock("22 10:01:30")
        assert night.open == []
        assert told(deadline(hasty, night.state, RESTART)) == "22 10:02:00"

        night.clock("22 10:02:01")
        assert night.open == ["missed"]

    def test_holds_back_nothing_that_begins_after_it(self) -> None:
        often = replace(HOURLY, schedule=Every(3), grace=1)
        night = Night(often, known="22 10:00:30")
        night.settings = RESTART
        assert told(deadline(often, night.state, RESTART)) == "22 10:00:34"

        night.clock("22 10:00:35")
        assert night.open == ["missed"]

    def test_is_over_for_a_job_whose_next_slot_passes(self) -> None:
        often = replace(HOURLY, schedule=Every(3), grace=1)
        night = Night(often, known="22 09:59", settings=RESTART).clock("22 10:00:05")

        assert night.open == ["missed"]
        assert (night.state.unobserved_total, night.state.missed_total) == (19, 1)

    def test_that_follows_another_adds_its_slots(self) -> None:
        night = after_restart(HOURLY, ran="22 00:05")
        night.settings = down("22 01:05", "22 01:30", "22 01:32")
        night.clock("22 01:33")
        night.settings = down("22 02:05", "22 03:30", "22 03:32")
        night.clock("22 03:33")

        lost = night.state.unobserved
        assert (lost.count, told(lost.first)) == (3, "22 01:00:00")
        assert (night.state.unobserved_total, night.open) == (3, [])
        assert "from 2026-11-22T02:05:00Z to 2026-11-22T03:30:00Z" in (
            night.logs[1].message
        )

    def test_of_seconds_excuses_what_was_due_in_it(self) -> None:
        night = after_restart(HOURLY, ran="22 00:05")
        night.settings = down("22 01:09:59", "22 01:10:01", "22 01:12:01")

        assert night.clock("22 01:12:02").open == []
        assert night.state.unobserved.count == 1

    def test_of_no_length_holds_back_what_is_due_soon(self) -> None:
        """A clock that was set back."""
        night = after_restart(HOURLY, ran="22 00:05")
        night.settings = down("22 01:09", "22 01:09", "22 01:11")

        assert night.clock("22 01:10:59").open == []
        assert night.clock("22 01:11:01").open == ["missed"]
        assert night.state.unobserved_total == 0


class TestAnAlertAfterADowntime:
    """`on_downtime: alert`, and `after_downtime: 1h`."""

    AT_ONCE = replace(HOURLY, after_downtime=0.0)
    LATER = replace(BACKUP, after_downtime=3600.0)
    DAILY = down("22 01:00", "22 10:00", "22 10:02")

    def test_opens_once_the_daemon_is_settled(self) -> None:
        night = after_restart(self.AT_ONCE).clock("22 10:02")
        assert night.open == []
        assert told(deadline(self.AT_ONCE, night.state, RESTART)) == "22 10:02:00"

        night.clock("22 10:02:01")
        assert night.open == ["missed"]
        assert (night.state.missed_total, night.state.unobserved_total) == (10, 0)

    def test_opens_that_long_after_the_start(self) -> None:
        night = Night(self.LATER)
        night.settings = self.DAILY
        assert night.clock("22 11:00").open == []
        assert told(deadline(self.LATER, night.state, self.DAILY)) == "22 11:00:00"
        assert wake_at(self.LATER, night.state, self.DAILY) == at("22 11:00")

        night.clock("22 11:00:01")
        assert night.open == ["missed"]
        assert told(night.alerts[0].alert.opened_at) == "22 11:00:00"

    def test_goes_on_while_a_spool_is_delivered(self) -> None:
        """Seen: the second report ended it, and it opened again a moment later."""
        night = after_restart(replace(EVERY_HOUR, after_downtime=0.0))
        night.clock("22 10:02:01")
        for when in ("22 07:05", "22 08:05:10"):
            night.ping("22 10:03", ended_at=at(when), fingerprint=when.encode())
            night.clock("22 10:03:01")
        assert [told(event.alert.opened_at) for event in night.alerts] == [
            "22 10:02:00"
        ]

        night.ping("22 10:03:02", ended_at=at("22 09:05:10"))
        assert night.open == []

    def test_does_not_open_where_a_run_comes_by_then(self) -> None:
        night = Night(self.LATER)
        night.settings = self.DAILY

        assert night.ping("22 10:59").clock("22 12:00").alerts == []

    def test_opens_no_later_than_that_of_the_next_slot(self) -> None:
        patient = replace(HOURLY, after_downtime=7200.0)
        night = after_restart(patient).clock("22 10:10:01")

        assert told(night.alerts[0].alert.opened_at) == "22 10:10:00"
        assert night.state.missed_total == 11

    def test_ends_with_a_late_report_if_the_next_deadline_is_still_to_come(
        self,
    ) -> None:
        job = replace(EVERY_HOUR, grace=7200, after_downtime=0.0)
        night = after_restart(job).clock("22 10:02:01")
        assert night.open == ["missed"]

        night.ping("22 10:05", ended_at=at("22 08:30"))
        assert night.open == []
        assert told(deadline(job, night.state, RESTART)) == "22 11:30:00"

    def test_opens_for_a_run_as_well(self) -> None:
        job = replace(FREE, max_runtime=3600, after_downtime=3600.0)
        night = Night(job).start("22 01:00", run_id="a")
        night.settings = self.DAILY
        assert run_deadline(job, night.state, self.DAILY) == at("22 11:00")

        assert night.clock("22 11:00").open == []
        assert night.clock("22 11:00:01").open == ["overrunning"]


class TestARunWhoseLimitPassedInADowntime:
    JOB = replace(BACKUP, max_runtime=7200, rules=())
    DOWN = down("22 03:00", "22 05:00", "22 05:02")

    def night(self, job: Job = JOB, settings: Settings = DOWN, **start: Any) -> Night:
        night = Night(job).start("22 02:00", **start)
        night.settings = settings
        return night

    def test_is_given_up_and_its_slot_unobserved(self) -> None:
        night = self.night().clock("22 05:02")
        assert len(night.state.open_runs) == 1
        assert run_deadline(self.JOB, night.state, self.DOWN) == math.inf
        assert wake_at(self.JOB, night.state, self.DOWN) == at("22 05:02")

        night.clock("22 05:02:01")

        assert night.open == []
        assert not night.state.open_runs
        assert night.state.unobserved is not None
        assert [entry.message for entry in night.logs] == [
            (
                "the slot of 2026-11-22T02:00:00Z is unobserved: no report could arrive "
                "from 2026-11-22T03:00:00Z to 2026-11-22T05:00:00Z"
            ),
            (
                "the run started at 2026-11-22T02:00:00Z was given up: it had to end by "
                "2026-11-22T04:00:00Z, when no report could arrive"
            ),
        ]

    def test_is_not_silent_until_it_is_given_up(self) -> None:
        """Seen: overrunning for a minute, and then over."""
        job = replace(self.JOB, heartbeat=60)
        night = Night(job).start("22 02:00").ping("22 02:59:30", Kind.PROGRESS)
        night.settings = self.DOWN

        for when in ("22 05:00", "22 05:01:01", "22 05:02", "22 05:02:01", "22 05:03"):
            night.clock(when)

        assert (night.alerts, night.state.open_runs) == ([], ())

    def test_is_overrunning_at_once_where_it_is_alive(self) -> None:
        night = self.night().ping("22 05:01", Kind.PROGRESS)

        assert night.clock("22 05:01:01").open == ["overrunning"]
        assert len(night.clock("22 05:03").state.open_runs) == 1

    def test_is_given_up_where_another_one_is_alive_and_overrunning(self) -> None:
        """How soon that is noticed changes nothing: the alert is about the other one."""
        job = replace(FREE, max_runtime=7200, concurrency=Concurrency(max=2))
        for checks in ((), ("22 05:01:01",)):
            night = self.night(job, run_id="a").start("22 02:59", run_id="b")
            night.ping("22 05:01", Kind.PROGRESS, run_id="b")
            for when in (*checks, "22 05:02:01"):
                night.clock(when)

            assert night.open == ["overrunning"]
            assert [run.run_id for run in night.state.open_runs] == ["b"]

    def test_ends_as_ever_where_its_end_comes_late(self) -> None:
        night = self.night().ping("22 05:01", ended_at=at("22 03:30")).clock("22 05:03")

        assert (night.alerts, night.outcomes) == ([], ["ok"])
        assert night.state.unobserved_total == 0

    @pytest.mark.parametrize("run_id", ["b", None])
    def test_has_not_timed_out_when_another_one_starts(
        self, run_id: str | None
    ) -> None:
        job = replace(self.JOB, concurrency=Concurrency(max=1)) if run_id else self.JOB
        night = self.night(job, run_id=run_id and "a").start("22 05:01", run_id=run_id)
        night.clock("22 05:03").ping("22 05:04", run_id=run_id).clock("22 05:05")

        assert (night.alerts, night.outcomes) == ([], ["ok"])
        assert (night.state.open_runs, night.state.unobserved_total) == ((), 1)

    def test_stays_overrunning_where_it_was(self) -> None:
        night = Night(self.JOB).start("22 00:00").clock("22 02:00:01")
        assert night.open == ["overrunning"]
        night.settings = replace(self.DOWN, down_since=-math.inf)

        assert "overrunning" in night.clock("22 05:03").open

    def test_is_not_excused_by_a_limit_that_passes_later(self) -> None:
        job = replace(self.JOB, max_runtime=4 * 3600)
        night = self.night(job)

        assert told(run_deadline(job, night.state, self.DOWN)) == "22 06:00:00"
        assert night.clock("22 06:00:01").open == ["missed", "overrunning"]

    def test_is_waited_for_where_the_limit_passes_just_after_it(self) -> None:
        job = replace(FREE, max_runtime=3 * 3600 + 60)
        night = self.night(job)

        assert night.clock("22 05:02").open == []
        assert night.clock("22 05:02:01").open == ["overrunning"]

    def test_is_judged_by_its_real_limit_where_it_began_after_it(self) -> None:
        job = replace(FREE, max_runtime=3)
        night = Night(job)
        night.settings = self.DOWN
        night.start("22 05:00:10")

        assert told(run_deadline(job, night.state, self.DOWN)) == "22 05:00:13"
        night.clock("22 05:00:14")
        assert night.open == ["overrunning"]
        summary = night.alerts[0].summary
        assert summary == "a run should have finished by 2026-11-22T05:00:13Z"


def test_silence_begins_anew_after_a_downtime() -> None:
    job = replace(FREE, heartbeat=600)
    night = Night(job).start("22 02:00").ping("22 02:55", Kind.PROGRESS)
    night.settings = down("22 03:00", "22 05:00", "22 05:02")

    assert run_deadline(job, night.state, night.settings) == at("22 05:10")
    assert night.clock("22 05:10").open == []
    assert night.clock("22 05:10:01").open == ["overrunning"]


def test_an_open_run_for_a_slot_before_the_downtime_is_for_no_later_one() -> None:
    night = Night(HOURLY, known="21 22:01").ping("21 23:05").start("21 23:55")
    night.settings = RESTART

    assert told(next_slot(HOURLY, night.state, RESTART)) == "22 10:00:00"


def test_a_run_that_was_silent_before_the_downtime_is_overrunning_since() -> None:
    job = Job(name="backup", heartbeat=600.0)
    night = Night(job).start("22 02:00", heartbeat=600.0)
    night.settings = down("22 03:00", "22 04:00", "22 04:02")

    night.clock("22 04:03")

    assert night.open == ["overrunning"]


def test_a_disabled_job_is_never_overrunning() -> None:
    night = Night(replace(FREE, max_runtime=60.0)).start("22 02:00")
    job = replace(night.job, enabled=False)

    assert run_deadline(job, night.state, night.settings) == math.inf
    assert next_overrunning(job, night.state, night.settings) == math.inf
