"""Attempts are told apart by run id and number, whatever a client sends of them."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Outcome
from tests.copies import replace
from tests.core.jobs import BACKUP, Night, at
from tests.core.test_attempts import PLAIN, Tries


class TestWithoutARunId:
    def test_attempts_are_of_the_run_that_waits(self) -> None:
        night = Tries().attempt("22 02:05", 1, run_id=None)
        night.attempt("22 02:06", 2, run_id=None)
        assert night.open == []

        night.attempt("22 02:07", 3, Outcome.OK, run_id=None).clock("22 12:00")

        assert night.alerts == []
        assert night.counts == (1, 0, 2)

    @pytest.mark.parametrize("start", [True, False])
    def test_another_first_attempt_begins_another_run(self, start: bool) -> None:
        night = Tries(PLAIN).attempt("22 02:05", 2, run_id=None)
        if start:
            night.begin("22 02:20", 1, run_id=None)
            assert night.open == ["failing"]
        night.attempt("22 02:21", 1, run_id=None)

        assert night.open == ["failing"]
        assert night.counts == (1, 1, 2)
        assert [run.is_retried for run in night.runs] == [True, False, True]
        night.attempt("22 02:22", 2, Outcome.OK, run_id=None)
        assert night.open == []
        assert night.counts == (2, 1, 2)

    def test_an_earlier_attempt_that_arrives_late_begins_no_run(self) -> None:
        night = Tries(PLAIN).attempt("22 02:05", 2, run_id=None)
        night.attempt("22 02:06", 1, run_id=None, ended_at=at("22 02:01"))

        assert night.counts == (0, 0, 2)
        assert [retry.attempt for retry in night.state.retries] == [2]

    @pytest.mark.parametrize("sides", [("a", None), (None, "a")])
    def test_on_one_side_it_is_the_only_run_that_waits(
        self, sides: tuple[str | None, str | None]
    ) -> None:
        night = Tries(PLAIN).attempt("22 02:05", 1, run_id=sides[0])
        night.attempt("22 02:06", 2, Outcome.OK, run_id=sides[1]).clock("22 12:00")

        assert night.counts == (1, 0, 1)
        assert night.open == []

    def test_an_unreadable_report_is_the_end_of_the_run_that_waits(self) -> None:
        night = Tries(PLAIN).attempt("22 02:05", 1, run_id=None)
        night.ping("22 02:06", outcome=Outcome.INVALID).clock("22 12:00")

        assert night.open == ["failing"]
        assert night.counts == (1, 1, 1)


class TestWithoutANumber:
    """The job is tried three times, and its reports do not say which time it is."""

    TRIED = replace(PLAIN, max_attempts=3)

    @pytest.mark.parametrize("run_id", ["a", None])
    def test_reports_are_the_next_attempts(self, run_id: str | None) -> None:
        night = Night(self.TRIED)
        for minute in ("05", "06"):
            night.fail(f"22 02:{minute}", run_id=run_id, message=f"at {minute}")
        assert night.open == []
        assert [run.attempt for run in night.runs] == [1, 2]
        assert [run.max_attempts for run in night.runs] == [3, 3]

        night.fail("22 02:07", run_id=run_id, message="at 07")

        assert night.open == ["failing"]
        assert night.state.runs_total == 1

    @pytest.mark.parametrize("run_id", ["a", None])
    def test_a_success_is_the_last(self, run_id: str | None) -> None:
        night = Night(self.TRIED).fail("22 02:05", run_id=run_id)
        night.ping("22 02:06", run_id=run_id).clock("22 12:00")

        assert night.outcomes == ["fail", "ok"]
        assert night.alerts == []
        assert not night.last.duplicate

    def test_a_report_that_says_the_same_is_a_repeat(self) -> None:
        night = Night(self.TRIED).fail("22 02:05", run_id="a", message="disk full")
        night.fail("22 03:00", run_id="a", message="disk full")

        assert night.last.duplicate
        assert night.last.duplicate_of == 1
        assert len(night.runs) == 1

    @pytest.mark.parametrize("run_id", ["a", None])
    def test_starts_are_of_the_next_attempt(self, run_id: str | None) -> None:
        night = Night(self.TRIED)
        for minute in (0, 10, 20):
            night.start(f"22 02:{minute:02}", run_id=run_id)
            night.fail(f"22 02:{minute + 5:02}", run_id=run_id)

        assert [run.attempt for run in night.runs] == [1, 2, 3]
        assert [run.duration for run in night.runs] == [300] * 3
        assert night.open == ["failing"]
        assert night.state.duplicates_total == 0

    @pytest.mark.parametrize(
        "times", [{}, {"started_at": at("22 02:00")}], ids=["arrival", "reported"]
    )
    def test_a_start_that_arrives_after_its_end_opens_no_run(
        self, times: dict[str, float]
    ) -> None:
        night = Night(self.TRIED).fail("22 02:05", run_id="a")
        night.start("22 02:05:02", run_id="a", **times)

        assert night.last.duplicate
        assert night.state.open_runs == ()

    def test_the_start_says_how_often_it_is_tried(self) -> None:
        night = Night(PLAIN).start("22 02:00", run_id="a", max_attempts=2)
        night.fail("22 02:05", run_id="a")
        assert night.open == []

        night.start("22 02:10", run_id="a", attempt=2).fail("22 02:11", run_id="a")
        assert night.outcomes == ["fail", "fail"]
        assert night.open == ["failing"]

    def test_what_the_report_says_wins_over_the_configuration(self) -> None:
        night = Tries(self.TRIED).attempt("22 02:05", 1, max_attempts=1)
        assert night.open == ["failing"]

    def test_each_run_is_tried_as_often(self) -> None:
        """With the configuration alone, one run a day."""
        night = Night(replace(BACKUP, max_attempts=2))
        for day in ("22", "23", "24"):
            night.fail(f"{day} 02:05").fail(f"{day} 02:10").clock(f"{day} 12:00")

        assert night.state.consecutive_failures == 3
        assert night.state.runs_total == 3
        assert night.state.missed_total == 0


class TestOutOfOrder:
    def test_an_earlier_attempt_does_not_end_a_later_one(self) -> None:
        night = Tries(PLAIN).begin("22 02:10", 2).attempt("22 02:11", 1)

        assert [run.attempt for run in night.state.open_runs] == [2]
        assert night.attempt("22 02:12", 2, Outcome.OK).runs[-1].duration == 120

    @pytest.mark.parametrize("final", list(Outcome))
    def test_an_attempt_before_the_last_one_changes_nothing(
        self, final: Outcome
    ) -> None:
        night = Tries(PLAIN).attempt("22 02:10", 3, final)
        before = night.state
        night.attempt("22 02:11", 2).attempt("22 02:12", 1).clock("22 12:00")

        assert night.state.retries == ()
        assert night.open == [alert.key.condition for alert in before.alerts]
        assert night.counts == (1, before.failures_total, 2)

    def test_the_same_attempt_twice_counts_once(self) -> None:
        night = Tries(PLAIN)
        for _ in range(3):
            night.attempt("22 02:05", 1)

        assert night.counts == (0, 0, 1)
        assert night.state.duplicates_total == 2
        assert night.last.duplicate_of == 1

    def test_reports_that_come_hours_late_are_judged_together(self) -> None:
        """A spool is emptied: what is first must not alert before what is last."""
        night = Tries(PLAIN).attempt("22 09:00", 1, ended_at=at("22 02:01"))
        night.attempt("22 09:00:01", 2, Outcome.OK, ended_at=at("22 02:05"))

        assert night.alerts == []
        assert night.counts == (1, 0, 1)
