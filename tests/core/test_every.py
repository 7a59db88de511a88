"""Terms that were made for cron slots, used for `every`: in time, early, out of turn."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.deadlines import release_at
from afterrun_exporter.core.model import Dependency, Job
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.upstream import Required
from tests.copies import replace

from .jobs import Night, at, told
from .test_late_reports import Life


class TestARunOfAnIntervalUnderWay:
    """Due at 60 s after its last finish, and started by a timer from start to start."""

    JOB = Job(name="j", schedule=Every(60), grace=10, early=1, max_runtime=60)

    def night(self) -> Life:
        life = Life(self.JOB)
        life.start(1)
        life.report(21)
        return life

    def test_has_its_whole_max_runtime_from_its_start_on(self) -> None:
        """Seen: missed 30 s after its start, at the slot of 81 plus grace."""
        life = self.night()
        life.start(61)
        life.clock(121)

        assert life.misses == []
        assert life.deadline == 121
        life.clock(121.5)
        assert life.misses == [[121]]

    @pytest.mark.parametrize("started", [21, 22, 50, 81, 91])
    def test_whenever_it_started_after_the_last_finish(self, started: float) -> None:
        life = self.night()
        life.start(started)

        assert life.deadline == max(started + 60, 91)

    def test_ends_no_miss_before_it_has_ended_where_it_starts_late(self) -> None:
        life = self.night()
        life.start(95)
        life.clock(100)
        assert life.misses == [[91]]
        # But the slots that follow are its own.
        life.clock(155)
        assert life.state.missed_total == 1
        life.report(155)
        assert life.misses == [[91, 155]]

    def test_is_for_the_slot_before_where_another_has_ended_since(self) -> None:
        life = Life(self.JOB)
        life.start(5)
        life.report(21)
        life.start(21, started=15)
        life.clock(91.5)

        assert life.misses == [[91]]

    def test_may_be_its_first_one(self) -> None:
        life = Life(self.JOB)
        life.start(3)
        assert life.deadline == 70
        life = Life(self.JOB)
        life.start(60)
        assert life.deadline == 120

    def test_says_nothing_without_a_limit(self) -> None:
        """It may have died."""
        life = Life(Job(name="j", schedule=Every(60), grace=10))
        life.start(50)
        life.clock(70.5)

        assert life.misses == [[70]]

    def test_is_found_when_the_report_of_the_run_before_is_late(self) -> None:
        """Slot 81 was run after all, and the run for the next one is under way."""
        life = self.night()
        life.start(150)
        life.clock(151)
        life.report(152, ended=85, run_id="before")

        assert life.misses == [[91, 152]]
        assert life.deadline == 210


class TestAFailedAttemptOfAnInterval:
    """Its run began before its slot, as timers that count from the last start do."""

    JOB = Job(
        name="backup",
        schedule=Every(600),
        grace=300,
        early=60,
        max_runtime=120,
        max_attempts=3,
    )

    def test_is_waited_for_until_the_deadline_of_its_slot(self) -> None:
        night = Night(self.JOB, known="22 02:00").ping("22 02:00")
        night.start("22 02:08").fail("22 02:09")

        assert told(night.state.retries[0].until) == "22 02:15:00"

    def test_is_not_waited_for_a_whole_period(self) -> None:
        """It is far from its slot: somebody started it by hand."""
        daily = replace(self.JOB, schedule=Every(86400), max_runtime=3600)
        night = Night(daily, known="22 02:00").ping("22 02:00")
        night.start("22 03:00").fail("22 03:10")

        assert told(night.state.retries[0].until) == "22 05:10:00"


WELL = (Required("ingest", healthy=True, trouble=""),)
ILL = (Required("ingest", healthy=False, trouble="its last run ended with fail"),)


@pytest.mark.parametrize(
    "schedule", [parse_cron("0 2 * * *", "UTC"), Every(86400)], ids=["cron", "every"]
)
def test_a_run_under_way_is_the_chance_of_a_job_that_is_held_back(
    schedule: object,
) -> None:
    """Its failure of the day before is not told while it makes up for it."""
    job = Job(
        name="backup",
        schedule=schedule,  # type: ignore[arg-type]
        grace=600,
        max_runtime=7200,
        depends_on=(Dependency("ingest"),),
    )
    night = Night(job, known="20 00:00", required=ILL).fail("21 02:00")
    night.required = WELL
    night.clock("22 01:50").start("22 02:00").clock("22 02:11")

    assert night.open == ["failing", "upstream_unhealthy"]
    assert release_at(job, night.state, night.settings) == at("22 04:00")
    assert night.clock("22 04:00:01").open == ["failing", "missed", "overrunning"]
