"""A pause resolves alerts, and its end brings back what is still wrong."""

from __future__ import annotations

from typing import Any, Self

import pytest

from afterrun_exporter.core.alerts import FAILING, OVERRUNNING
from afterrun_exporter.core.deadlines import deadline
from afterrun_exporter.core.model import (
    Concurrency,
    Dependency,
    Job,
    Kind,
    Outcome,
    Settings,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.pauses import is_over, on_pause, on_resume, paused_job
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.state import AlertKey, AlertOpened
from afterrun_exporter.core.upstream import Required
from tests.copies import replace
from tests.core.jobs import Night, at, told

SETTINGS = Settings(up_since=0.0)

#: Due at 02:00, by 02:30.
NIGHTLY = Job(name="backup", schedule=parse_cron("0 2 * * *", "UTC"), grace=1800)
HOURLY = Job(name="backup", schedule=Every(3600), grace=600)
BY_HAND = Job(name="backup")

UPSTREAM = "upstream_unhealthy"
WELL = (Required("ingest", healthy=True, trouble=""),)
ILL = (Required("ingest", healthy=False, trouble="its last run ended with fail"),)


class Life(Night):
    """A job that is paused and resumed."""

    def __init__(self, job: Job, **more: Any) -> None:
        super().__init__(job, settings=SETTINGS, **more)
        self.described = job

    def pause(self, when: str, until: str | None = None) -> Self:
        self._take(
            on_pause(
                self.described,
                self.state,
                at(when),
                self.settings,
                self.required,
                until=None if until is None else at(until),
            )
        )
        self.job = paused_job(self.described)
        return self

    def resume(self, when: str) -> Self:
        self.job = self.described
        self._take(
            on_resume(self.job, self.state, at(when), self.settings, self.required)
        )
        return self

    def disable(self, when: str) -> Self:
        self.job = paused_job(self.described)
        return self.clock(when)

    def enable(self, when: str) -> Self:
        self.job = self.described
        return self.clock(when)

    @property
    def due(self) -> str:
        return told(deadline(self.job, self.state, self.settings))

    def intervals(self, key: AlertKey) -> list[tuple[str, str]]:
        """Return when each alert of *key* opened and was resolved, "" for not yet."""
        found: list[tuple[str, str]] = []
        for event in self.alerts:
            if event.key != key:
                continue
            if isinstance(event, AlertOpened):
                found.append((told(event.alert.opened_at), ""))
            else:
                found[-1] = (found[-1][0], told(event.at))
        return found


def opened_by_runs() -> list[Any]:
    """Return jobs, what happens to them before a pause, and what is wrong then."""
    wary = replace(BY_HAND, recover_after=3)
    rows = (parse_rule("rows > 0"),)
    ratio = SuccessRatio(below=0.9, over=86400.0)
    slow = SlowerThan(factor=2.0, over=86400.0, min_runs=1)
    alone = Concurrency(max=1)
    return [
        pytest.param(BY_HAND, "F", ["failing"], id="failing"),
        pytest.param(wary, "FO", ["failing"], id="recovering"),
        pytest.param(
            replace(wary, after_failures=2), "FFOF", ["failing"], id="failing again"
        ),
        pytest.param(replace(BY_HAND, after_failures=2), "F", [], id="one failure"),
        pytest.param(replace(BY_HAND, rules=rows), "O", ["rows > 0"], id="violated"),
        pytest.param(
            replace(BY_HAND, success_ratio=ratio),
            "FO",
            ["success_ratio_low"],
            id="ratio",
        ),
        pytest.param(replace(BY_HAND, slower_than=slow), "OS", ["slow"], id="slow"),
        pytest.param(
            replace(BY_HAND, concurrency=alone), "ab", ["overlapping"], id="overlapping"
        ),
        pytest.param(
            replace(BY_HAND, max_runtime=600), "a", ["overrunning"], id="overrunning"
        ),
    ]


def happen(life: Life, events: str, hour: int) -> None:
    """Report runs, ten minutes each: Failed, Ok, Slow, or the start of run a or b."""
    for place, letter in enumerate(events):
        when = f"21 {hour}:{place * 10:02}"
        if letter in "ab":
            life.start(when, run_id=letter)
        else:
            life.ping(
                when,
                outcome=Outcome.FAIL if letter == "F" else Outcome.OK,
                duration=600.0 if letter == "S" else 60.0,
                metrics={},
            )


@pytest.mark.parametrize("how", ["pause", "until", "disabled"])
@pytest.mark.parametrize(("job", "events", "wrong"), opened_by_runs())
class TestWhatIsStillWrong:
    def test_is_an_alert_again_from_the_end_of_the_pause_on(
        self, job: Job, events: str, wrong: list[str], how: str
    ) -> None:
        life = Life(job)
        happen(life, events, 13)
        life.clock("21 14:50")
        assert life.open == wrong
        self.pause(life, how)

        assert life.clock("21 15:30").open == []
        self.resume(life, how)

        assert life.open == wrong
        for alert in life.state.alerts:
            (_, resolved), (opened, over) = life.intervals(alert.key)
            assert (resolved, opened, over) == ("21 15:00:00", "21 16:00:00", "")

    def test_is_one_also_where_it_came_to_be_during_the_pause(
        self, job: Job, events: str, wrong: list[str], how: str
    ) -> None:
        """Nothing is expected during a pause, but what is reported counts."""
        life = Life(job)
        self.pause(life, how)
        happen(life, events, 15)
        assert life.clock("21 15:50").open == []
        assert life.alerts == []
        self.resume(life, how)

        assert life.open == wrong
        for alert in life.state.alerts:
            assert life.intervals(alert.key) == [("21 16:00:00", "")]

    @staticmethod
    def pause(life: Life, how: str) -> None:
        if how == "disabled":
            life.disable("21 15:00")
        else:
            life.pause("21 15:00", "21 16:00" if how == "until" else None)

    @staticmethod
    def resume(life: Life, how: str) -> None:
        match how:
            case "disabled":
                life.enable("21 16:00")
            case "until":
                # Whenever that is noticed.
                assert is_over(life.state, at("21 16:00"))
                life.resume("21 16:05")
            case _:
                life.resume("21 16:00")


def test_a_job_that_recovers_during_a_pause_is_well_after_it() -> None:
    life = Life(replace(BY_HAND, recover_after=3)).fail("21 13:00").ping("21 14:00")
    life.pause("21 15:00").ping("21 15:10").ping("21 15:20").resume("21 16:00")

    assert life.open == []
    assert life.intervals(FAILING) == [("21 13:00:00", "21 15:00:00")]


def test_a_run_that_ends_during_a_pause_is_not_overrunning_after_it() -> None:
    life = Life(replace(BY_HAND, max_runtime=600)).start("21 14:00", run_id="a")
    life.pause("21 14:05").ping("21 15:00", run_id="a").resume("21 16:00")

    assert life.alerts == []


def test_a_run_whose_limit_passes_after_the_pause_is_overrunning_then() -> None:
    life = Life(replace(BY_HAND, max_runtime=7200)).start("21 14:30", run_id="a")
    life.pause("21 15:00").resume("21 16:00").clock("21 16:31")

    assert life.intervals(OVERRUNNING) == [("21 16:30:00", "")]


def test_a_run_that_times_out_during_a_pause_has_failed() -> None:
    life = Life(replace(BY_HAND, max_runtime=600)).start("21 14:00", run_id="a")
    life.pause("21 14:05").start("21 15:00", run_id="b").ping(
        "21 15:05", run_id="b", outcome=Outcome.FAIL
    )

    assert life.outcomes == ["timeout", "fail"]
    assert life.resume("21 16:00").open == ["failing"]


class TestSlots:
    @pytest.mark.parametrize(
        ("paused", "resumed", "due"),
        [
            ("22 01:00", "22 01:59", "22 02:30:00"),
            # What was due during the pause is not missed, late or not.
            ("22 01:00", "22 02:10", "23 02:30:00"),
            ("22 01:00", "22 05:00", "23 02:30:00"),
            # Nor is it any more what was missed before: the next slot decides.
            ("22 03:00", "22 05:00", "23 02:30:00"),
        ],
    )
    def test_are_expected_from_the_end_of_the_pause_on(
        self, paused: str, resumed: str, due: str
    ) -> None:
        life = Life(NIGHTLY).pause(paused).clock(resumed).resume(resumed)

        assert life.open == []
        assert life.due == due

    def test_of_an_interval_go_by_the_end_of_the_pause(self) -> None:
        life = Life(HOURLY).ping("21 13:00").pause("21 13:30").resume("21 20:00")

        assert life.due == "21 21:10:00"

    def test_that_were_missed_before_the_pause_are_recorded(self) -> None:
        """However soon after its deadline it began."""
        life = Life(NIGHTLY).pause("22 02:30:01")

        assert life.state.missed_total == 1
        assert len(life.alerts) == 2

    @pytest.mark.parametrize("ended", ["22 01:59:00", "22 01:59:30", "22 01:59:59"])
    @pytest.mark.parametrize("paused", ["21 23:00", "22 01:59:10"])
    def test_are_covered_by_a_run_shortly_before_them_during_the_pause(
        self, ended: str, paused: str
    ) -> None:
        life = Life(NIGHTLY)
        if ended < paused:
            life.ping(ended).pause(paused)
        else:
            life.pause(paused).ping(ended)
        life.resume("22 01:59:59.5")

        assert life.due == "23 02:30:00"
        assert life.clock("22 03:00").open == []

    def test_are_not_covered_by_one_long_before(self) -> None:
        life = Life(NIGHTLY).pause("21 23:00").ping("22 01:58").resume("22 01:59")

        assert life.due == "22 02:30:00"

    def test_are_covered_over_a_change_of_the_schedule(self) -> None:
        life = Life(NIGHTLY).ping("22 01:59:30")
        life.job = replace(NIGHTLY, schedule=parse_cron("0 2 * * 0-5", "UTC"))
        life.clock("22 01:59:40")

        assert life.due == "23 02:30:00"

    def test_right_after_the_end_of_a_pause_are_expected(self) -> None:
        """The end is noticed a moment later."""
        life = Life(NIGHTLY).pause("22 01:00", until="22 01:59:59.9")

        assert life.resume("22 02:00:00.3").due == "22 02:30:00"
        assert told(life.state.watched_since or 0) == "22 01:59:59"

    def test_of_an_interval_have_a_run_under_way_that_began_before_the_pause(
        self,
    ) -> None:
        """None has ended since it started: it is the run for the next slot."""
        job = replace(HOURLY, max_runtime=8 * 3600)
        life = Life(job).ping("21 13:00").start("21 13:50").pause("21 14:00")
        life.resume("21 15:00")

        assert life.due == "21 21:50:00"


class TestAJobThatIsHeldBack:
    JOB = replace(NIGHTLY, depends_on=(Dependency("ingest"),))

    def test_is_so_after_a_pause_while_the_trouble_lasts(self) -> None:
        life = Life(self.JOB, required=ILL).fail("21 13:00")
        assert life.open == ["failing", UPSTREAM]

        assert life.pause("21 14:00").open == []
        assert life.clock("21 15:00").resume("21 16:00").open == ["failing", UPSTREAM]

    @pytest.mark.parametrize("job", [JOB, replace(JOB, schedule=None)])
    @pytest.mark.parametrize("healed", ["21 13:30", "21 14:30"])
    def test_is_so_after_a_pause_until_it_had_its_chance(
        self, job: Job, healed: str
    ) -> None:
        """Upstream has healed before the pause, or during it."""
        life = Life(job, required=ILL).fail("21 13:00")
        for when in sorted([healed, "21 14:00"]):
            if when == healed:
                life.required = WELL
                life.clock(when)
            else:
                life.pause(when)
        life.clock("21 15:00").resume("21 16:00")

        assert life.open == ["failing", UPSTREAM]
        if job.schedule is not None:
            assert UPSTREAM in life.clock("22 02:30").open
            assert life.clock("22 02:30:01").open == ["failing", "missed"]
        assert life.ping("22 02:40").open == []

    def test_had_its_chance_with_a_run_during_the_pause(self) -> None:
        life = Life(self.JOB, required=ILL).fail("21 13:00").pause("21 14:00")
        life.required = WELL
        life.clock("21 14:30").fail("21 15:00").resume("21 16:00")

        assert life.open == ["failing"]

    def test_has_nothing_to_wait_for_without_a_schedule_and_trouble(self) -> None:
        life = Life(replace(self.JOB, schedule=None), required=ILL).ping("21 13:00")
        life.pause("21 14:00")
        life.required = WELL

        assert life.clock("21 15:00").resume("21 16:00").open == []


def test_a_pause_of_a_job_that_is_paused_keeps_its_beginning() -> None:
    life = Life(NIGHTLY).pause("21 13:00").pause("21 14:00", until="21 18:00")

    assert told(life.state.paused_at) == "21 13:00:00"
    assert told(life.state.paused_until or 0) == "21 18:00:00"


def test_a_start_without_an_end_goes_on_over_a_pause() -> None:
    life = Life(replace(NIGHTLY, max_runtime=7200)).start("22 02:00")
    life.pause("22 02:10").resume("22 02:20").ping("22 03:00", Kind.FINISH)

    assert life.alerts == []
    assert life.state.last_duration == 3600
