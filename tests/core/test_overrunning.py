"""Alerts on runs that are overrunning: what a restart, a pause or a late start changes."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.alerts import OVERRUNNING, is_visible
from afterrun_exporter.core.model import Concurrency, Job, Kind, Settings
from afterrun_exporter.core.pauses import on_pause, on_resume
from afterrun_exporter.core.run_limits import run_deadline
from tests.copies import replace

from .jobs import BACKUP, SETTINGS, Night, at, told

JOB: Final = replace(BACKUP, schedule=None, rules=(), max_runtime=3600)
#: Two may be open at once.
PAIR: Final = replace(JOB, concurrency=Concurrency(max=2))


def restarted(when: str) -> Settings:
    """Return the settings after a start of the daemon; when it stopped is not known."""
    return Settings(up_since=at(when), settled_at=at(when) + 120)


def paused(night: Night, since: str, until: str, *restarts: str) -> Night:
    """Pause the job of *night*, with restarts of the daemon meanwhile."""
    resting = replace(night.job, enabled=False)
    night._take(on_pause(night.job, night.state, at(since), night.settings))
    watched, night.job = night.job, resting
    for when in restarts:
        night.settings = restarted(when)
        night.clock(when)
    night.job = watched
    night._take(on_resume(night.job, night.state, at(until), night.settings))
    return night


class TestARestartEndsNoAlert:
    """Its run was overrunning while the daemon watched: it has not ended unobserved."""

    def after(self, night: Night) -> Night:
        before = list(night.alerts)
        night.settings = restarted("22 08:00")
        night.clock("22 08:00").clock("22 08:02:01").clock("22 09:00")
        assert night.alerts == before
        assert night.logs == []
        return night

    def test_that_opened_at_the_end_of_a_pause(self) -> None:
        night = Night(JOB).start("22 02:00").clock("22 03:00:01")
        paused(night, "22 04:00", "22 05:00")
        assert night.open == ["overrunning"]

        assert self.after(night).open == ["overrunning"]

    def test_about_a_run_whose_limit_passed_while_it_was_open(self) -> None:
        night = Night(PAIR).start("22 02:00", run_id="a").start("22 02:10", run_id="b")
        night.clock("22 03:00:01").clock("22 03:10:01").ping("22 03:20", run_id="a")

        assert self.after(night).open == ["overrunning"]

    def test_after_the_limit_was_changed(self) -> None:
        night = Night(JOB).start("22 02:00").clock("22 03:00:01")
        night.job = replace(JOB, max_runtime=4000)
        night.clock("22 03:30")

        assert self.after(night).open == ["overrunning"]

    def test_on_overlapping_runs(self) -> None:
        night = Night(replace(PAIR, concurrency=Concurrency(max=1)))
        night.start("22 02:00", run_id="a").start("22 02:50", run_id="b")
        night.clock("22 03:00:01").clock("22 03:50:01")

        assert self.after(night).open == ["overlapping", "overrunning"]

    def test_where_the_job_is_paused(self) -> None:
        night = Night(JOB).start("22 02:00").clock("22 03:00:01")
        paused(night, "22 04:00", "22 07:00", "22 05:00")
        assert night.open == ["overrunning"]

        assert self.after(night).open == ["overrunning"]


def test_a_run_that_may_have_ended_in_a_pause_and_a_downtime_is_given_up() -> None:
    night = paused(Night(JOB).start("22 02:00"), "22 02:30", "22 07:00", "22 05:00")
    night.clock("22 07:00:01")

    assert (night.open, night.state.open_runs) == ([], ())


@given(
    limits=st.lists(st.integers(0, 90), min_size=1, max_size=3),
    ends=st.integers(0, 3),
    looks=st.sets(st.integers(61, 239)),
)
def test_how_often_runs_are_looked_at_does_not_matter_to_a_restart(
    limits: list[int], ends: int, looks: set[int]
) -> None:
    """A job whose runs are overrunning is so after it, whichever of them have ended."""
    night = Night(replace(PAIR, concurrency=Concurrency(max=3)))
    starts = sorted(limits)
    for number, minute in enumerate(starts):
        night.start(f"22 {minute // 60:02}:{minute % 60:02}", run_id=str(number))
    for minute in sorted(looks | {minute + 60 for minute in starts}):
        night.clock(f"22 {minute // 60:02}:{minute % 60:02}:01")
    for number in range(min(ends, len(starts))):
        night.ping("22 04:00", run_id=str(number))
    before = night.open
    assert before == (["overrunning"] if ends < len(starts) else [])

    night.settings = restarted("22 05:00")

    assert night.clock("22 05:00").open == before
    assert night.clock("22 05:02:01").open == before


class TestAStartThatIsReportedAfterItsLimit:
    """It opens the alert 30 seconds later, whatever else is configured of the job."""

    @pytest.fixture(params=[JOB, PAIR], ids=["alone", "concurrency"])
    def night(self, request: Any) -> Night:
        job: Job = request.param
        return Night(job).start("22 06:00", started_at=at("22 02:00"))

    def test_is_an_alert_from_its_limit_on(self, night: Night) -> None:
        assert night.clock("22 06:00:30").open == []
        assert told(run_deadline(night.job, night.state, SETTINGS)) == "22 06:00:30"

        assert night.clock("22 06:00:31").open == ["overrunning"]
        (opened,) = night.alerts
        assert told(opened.alert.opened_at) == "22 03:00:00"
        assert opened.summary == "a run should have finished by 2026-11-22T03:00:00Z"
        assert told(run_deadline(night.job, night.state, SETTINGS)) == "22 03:00:00"

    def test_is_shown_long_enough_for_a_scrape(self, night: Night) -> None:
        night.clock("22 06:00:31").ping("22 06:00:32")

        assert night.open == []
        assert is_visible(night.clock("22 06:01:29").state, OVERRUNNING)
        assert not is_visible(night.clock("22 06:01:31").state, OVERRUNNING)

    def test_is_none_where_its_end_follows(self, night: Night) -> None:
        night.ping("22 06:00:01", Kind.FINISH, ended_at=at("22 05:00"))

        assert (night.clock("22 06:01").alerts, night.outcomes) == ([], ["ok"])
