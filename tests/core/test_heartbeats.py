"""Signs of life: how long a run may be silent, beside how long it may take."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.deadlines import deadline, wake_at
from afterrun_exporter.core.model import Concurrency, Condition, Job, Kind, Settings
from afterrun_exporter.core.run_limits import run_deadline
from tests.copies import replace

from .jobs import BACKUP, SETTINGS, Night, at, told

BEATS = replace(BACKUP, heartbeat=300)
LIMITED = replace(BEATS, max_runtime=3600)
#: As Sentry's clients describe a job.
RENEWED = replace(BACKUP, max_runtime=1800, renews_runtime=True)


def summaries(night: Night) -> list[str]:
    """Return what the alerts about run time said when they opened."""
    opened = (a for a in night.alerts if a.key.condition is Condition.OVERRUNNING)
    return [alert.summary for alert in opened if hasattr(alert, "summary")]


class TestARunThatSendsSignsOfLife:
    @pytest.mark.parametrize("kind", [Kind.PROGRESS, Kind.LOG])
    def test_may_be_silent_for_its_heartbeat(self, kind: Kind) -> None:
        night = Night(BEATS).start("22 02:00").ping("22 02:14", kind)

        assert night.clock("22 02:19").open == []
        assert night.clock("22 02:19:01").open == ["overrunning"]
        assert summaries(night) == [
            "no sign of life since 2026-11-22T02:14:00Z, expected at least every 5m"
        ]
        assert told(night.state.alerts[0].opened_at) == "22 02:19:00"

    def test_is_overrunning_no_more_once_it_sends_one_again(self) -> None:
        night = Night(BEATS).start("22 02:00").ping("22 02:14", Kind.PROGRESS)
        night.clock("22 02:20").ping("22 02:21", Kind.PROGRESS)

        assert night.open == []
        assert night.clock("22 02:26:01").open == ["overrunning"]

    def test_does_not_outlive_its_max_runtime(self) -> None:
        """However often it sends one."""
        night = Night(LIMITED).start("22 02:00")
        for minute in range(0, 60, 4):
            night.ping(f"22 02:{minute:02}", Kind.PROGRESS)
        night.ping("22 03:00", Kind.LOG)

        assert night.clock("22 03:00:01").open == ["missed", "overrunning"]
        assert summaries(night) == [
            "a run should have finished by 2026-11-22T03:00:00Z"
        ]

    def test_may_end_at_any_time(self) -> None:
        night = Night(BEATS).start("22 02:00").ping("22 02:05", Kind.LOG)
        night.clock("22 02:20").ping("22 02:25")

        assert (night.outcomes, night.open) == (["ok"], [])

    def test_has_timed_out_when_the_next_one_starts(self) -> None:
        night = Night(BEATS).start("22 02:00", run_id="a")
        night.ping("22 02:14", Kind.PROGRESS, run_id="a", metrics={"rows": 7.0})
        night.start("22 02:19:01", run_id="b")

        assert night.outcomes == ["timeout"]
        assert told(night.runs[0].finished_at) == "22 02:19:00"
        assert night.runs[0].message == (
            "started at 2026-11-22T02:00:00Z and had sent no sign of life since "
            "2026-11-22T02:14:00Z when the next run started"
        )
        assert [run.run_id for run in night.state.open_runs] == ["b"]

    def test_gets_no_more_time_for_its_slot_by_them(self) -> None:
        """A run that hangs may go on sending them."""
        night = Night(BEATS).start("22 02:00")
        for minute in range(0, 32, 4):
            night.ping(f"22 02:{minute:02}", Kind.PROGRESS)

        assert night.clock("22 02:30:01").open == ["missed"]

    def test_has_its_whole_max_runtime_for_its_slot(self) -> None:
        """Also when it was silent for a while: that is an alert of its own."""
        night = Night(LIMITED).start("22 02:00").ping("22 02:10", Kind.PROGRESS)

        assert night.clock("22 02:40").open == ["overrunning"]
        assert told(deadline(LIMITED, night.state, SETTINGS)) == "22 03:00:00"
        assert night.ping("22 02:50", Kind.PROGRESS).open == []
        assert night.state.missed_total == 0

    def test_is_meant_by_a_log_with_its_id_alone_where_there_are_more(self) -> None:
        several = replace(BEATS, concurrency=Concurrency(max=2))
        night = (
            Night(several).start("22 02:00", run_id="a").start("22 02:01", run_id="b")
        )
        night.ping("22 02:02", Kind.LOG, run_id="b").ping("22 02:05", Kind.LOG)

        assert [told(run.alive_at)[3:] for run in night.state.open_runs[1:]] == [
            "02:02:00"
        ]
        assert night.state.open_runs[0].alive_at == 0.0

    def test_is_judged_by_the_one_that_is_silent_for_longest(self) -> None:
        several = replace(LIMITED, concurrency=Concurrency(max=2))
        night = (
            Night(several).start("22 02:00", run_id="a").start("22 02:01", run_id="b")
        )
        for run, when in (("a", "22 02:02"), ("b", "22 02:03"), ("b", "22 02:06")):
            night.ping(when, Kind.PROGRESS, run_id=run)

        assert told(run_deadline(several, night.state, SETTINGS)) == "22 02:07:00"
        assert night.clock("22 02:07:01").open == ["overrunning"]
        assert night.ping("22 02:08", run_id="a").open == []

    def test_may_have_sent_them_while_the_daemon_was_down(self) -> None:
        night = Night(BEATS).start("22 02:00", run_id="a")
        night.ping("22 02:04", Kind.PROGRESS, run_id="a")
        night.settings = Settings(up_since=at("22 03:00"), settled_at=at("22 03:02"))
        night.clock("22 03:00").start("22 03:01", run_id="b")
        assert (night.outcomes, "overrunning" in night.open) == ([], False)

        night.ping("22 03:01:30", Kind.PROGRESS, run_id="a")
        assert "overrunning" not in night.clock("22 03:06").open
        assert "overrunning" in night.clock("22 03:06:31").open

    def test_is_judged_at_once_by_what_it_sent_since_the_daemon_is_up(self) -> None:
        night = Night(BEATS).start("22 02:00").ping("22 02:04", Kind.PROGRESS)
        night.settings = Settings(settled_at=at("22 02:40"), up_since=at("22 02:06"))
        assert night.clock("22 02:10").open == []

        night.ping("22 02:11", Kind.PROGRESS)
        assert night.clock("22 02:16").open == []
        assert night.clock("22 02:16:01").open == ["overrunning"]

    def test_keeps_its_alert_while_the_daemon_restarts(self) -> None:
        night = Night(BEATS).start("22 02:00").ping("22 02:04", Kind.PROGRESS)
        night.clock("22 02:10")
        night.settings = Settings(up_since=at("22 02:12"), settled_at=at("22 02:20"))

        assert night.clock("22 02:15").open == ["overrunning"]

    def test_is_judged_by_what_the_configuration_says_now(self) -> None:
        night = Night(BEATS).start("22 02:00").ping("22 02:04", Kind.PROGRESS)
        night.job = replace(BEATS, heartbeat=1200)
        assert night.clock("22 02:20").open == []

        night.job = replace(BEATS, heartbeat=600)
        assert night.clock("22 02:20:01").open == ["overrunning"]

        night.job = replace(BEATS, heartbeat=None)
        assert night.clock("22 02:20:02").open == []

    def test_is_let_be_while_nothing_is_expected(self) -> None:
        night = Night(BEATS).start("22 02:00").ping("22 02:04", Kind.PROGRESS)
        night.job = replace(BEATS, enabled=False)

        assert night.clock("22 02:20").open == []


class TestARunThatSendsNone:
    def test_may_be_silent(self) -> None:
        """As most jobs are from their start to their end."""
        night = Night(BEATS).start("22 01:00").clock("22 02:29")

        assert night.open == []
        assert run_deadline(BEATS, night.state, SETTINGS) == math.inf

    def test_sends_none_by_a_start_that_is_repeated(self) -> None:
        night = Night(BEATS).start("22 02:00", run_id="a").start("22 02:01", run_id="a")

        assert night.last.duplicate
        assert night.clock("22 02:20").open == []

    @pytest.mark.parametrize("kind", [Kind.PROGRESS, Kind.LOG])
    def test_is_none_at_all(self, kind: Kind) -> None:
        night = Night(BEATS).ping("22 02:00", kind).clock("22 02:20")

        assert (night.open, night.state.open_runs) == ([], ())


class TestARunThatAnnouncesItsSignsOfLife:
    """As `afterrun exec --heartbeat` does: nothing has to be configured."""

    def test_is_silent_from_its_start_on(self) -> None:
        night = Night().start("22 02:00", heartbeat=180.0)

        assert night.clock("22 02:03").open == []
        assert night.clock("22 02:03:01").open == ["overrunning"]
        assert summaries(night) == [
            "no sign of life since 2026-11-22T02:00:00Z, expected at least every 3m"
        ]

    def test_announces_them_once(self) -> None:
        night = Night().start("22 02:00", heartbeat=180.0)
        night.ping("22 02:02", Kind.PROGRESS)

        assert night.clock("22 02:05").open == []
        assert night.clock("22 02:05:01").open == ["overrunning"]

    def test_may_do_so_later_and_otherwise(self) -> None:
        night = (
            Night().start("22 02:00").ping("22 02:02", Kind.PROGRESS, heartbeat=60.0)
        )
        assert night.clock("22 02:03:01").open == ["overrunning"]

        night.ping("22 02:04", Kind.LOG, heartbeat=600.0)
        assert night.clock("22 02:14").open == []
        assert night.clock("22 02:14:01").open == ["overrunning"]

    @pytest.mark.parametrize("announced", [60.0, 3600.0])
    def test_is_held_to_what_the_job_has(self, announced: float) -> None:
        night = Night(BEATS).start("22 02:00", heartbeat=announced)

        assert night.clock("22 02:05").open == []
        assert night.clock("22 02:05:01").open == ["overrunning"]

    def test_is_told_where_they_would_be_too_rare(self) -> None:
        night = Night(BEATS).start("22 02:00", heartbeat=900.0)
        assert night.last.warnings == (
            (
                "heartbeat_seconds announces a heartbeat within 15m: the job's heartbeat "
                "of 5m counts; send them more often or raise it"
            ),
        )

        night.ping("22 02:01", Kind.PROGRESS, heartbeat=900.0)
        assert len(night.last.warnings) == 1
        assert (
            night.ping("22 02:02", Kind.PROGRESS, heartbeat=300.0).last.warnings == ()
        )

    def test_has_timed_out_when_the_next_one_starts(self) -> None:
        night = Night().start("22 02:00", heartbeat=180.0).start("23 02:00")

        assert night.outcomes == ["timeout"]
        assert told(night.runs[0].finished_at) == "22 02:03:00"


class TestAClientWhoseSignsOfLifeRenewItsMaxRuntime:
    """As Sentry's do, where they described the job themselves."""

    def test_has_it_anew_with_each(self) -> None:
        night = Night(RENEWED).start("22 02:00", run_id="a")
        night.start("22 02:20", run_id="a", keeps_alive=True).clock("22 02:50")

        assert night.open == []
        assert night.state.duplicates_total == 0
        assert night.clock("22 02:50:01").open == ["missed", "overrunning"]

    def test_is_overrunning_no_more_after_all(self) -> None:
        night = Night(RENEWED).start("22 02:00", run_id="a").clock("22 02:30:01")
        night.start("22 02:40", run_id="a", keeps_alive=True)

        assert "overrunning" not in night.open
        assert night.ping("22 03:20", run_id="a").runs[0].duration == 4800

    def test_is_given_up_only_after_the_last(self) -> None:
        night = Night(RENEWED).start("22 02:00", run_id="a")
        night.start("22 02:20", run_id="a", keeps_alive=True)
        night.start("22 02:40", run_id="b")
        assert night.outcomes == []

        night.start("22 02:51", run_id="c")
        assert night.outcomes == ["timeout"]
        assert told(night.runs[0].finished_at) == "22 02:50:00"

    def test_does_not_where_the_configuration_set_it(self) -> None:
        total = replace(RENEWED, renews_runtime=False)
        night = Night(total).start("22 02:00", run_id="a")
        night.start("22 02:20", run_id="a", keeps_alive=True)

        assert "overrunning" in night.clock("22 02:30:01").open


@dataclass
class Model:
    """A run's two limits as one would explain them to somebody."""

    job: Job
    started: float | None = None
    sign: float | None = None
    announced: float | None = None
    overrunning: bool = False

    def take(self, now: float, act: str, heartbeat: float | None) -> None:
        if act == "start":
            self.started, self.announced = now, heartbeat
            self.sign = now if heartbeat else None
        elif act == "finish":
            self.started = None
        elif act in {"progress", "log"} and self.started is not None:
            self.sign, self.announced = now, heartbeat or self.announced
        self.overrunning = self.started is not None and now > self.limit

    @property
    def limit(self) -> float:
        limits = [math.inf]
        if self.started is not None and self.job.max_runtime:
            limits.append(self.started + self.job.max_runtime)
        silence = self.job.heartbeat or self.announced
        if self.sign is not None and silence:
            limits.append(self.sign + silence)
        return min(limits)


@dataclass(frozen=True)
class Step:
    later: int
    act: str
    heartbeat: float | None = field(default=None)


STEPS = st.lists(
    st.builds(
        Step,
        later=st.integers(1, 400),
        act=st.sampled_from(["start", "progress", "log", "finish", "clock"]),
        heartbeat=st.none() | st.sampled_from([30.0, 120.0, 900.0]),
    ),
    max_size=25,
)


@given(
    steps=STEPS,
    max_runtime=st.none() | st.sampled_from([100.0, 600.0]),
    heartbeat=st.none() | st.sampled_from([60.0, 300.0, 700.0]),
    run_id=st.none() | st.just("a"),
)
def test_overrunning_holds_exactly_past_one_of_the_two_limits(
    steps: list[Step],
    max_runtime: float | None,
    heartbeat: float | None,
    run_id: str | None,
) -> None:
    """And the time to look at the job again is never after that."""
    job = Job(name="backup", max_runtime=max_runtime, heartbeat=heartbeat)
    night, model, now, number = Night(job), Model(job), at("22 02:00"), 0
    for step in steps:
        now += step.later
        number += step.act == "start"
        name = run_id and f"{run_id}{number}"
        if step.act == "clock":
            night.clock(told(now))
        elif step.act == "start":
            # One run at a time: the model knows no more.
            if night.state.open_runs:
                night.ping(told(now), run_id=night.state.open_runs[0].run_id)
            night.start(told(now), run_id=name, heartbeat=step.heartbeat)
        else:
            night.ping(told(now), Kind(step.act), run_id=name, heartbeat=step.heartbeat)
        model.take(now, step.act, step.heartbeat)

        assert ("overrunning" in night.open) is model.overrunning
        if model.started is not None:
            assert run_deadline(job, night.state, SETTINGS) == model.limit
            if not model.overrunning:
                assert wake_at(job, night.state, SETTINGS) <= model.limit
