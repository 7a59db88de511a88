"""What runs come to: outcomes, counters, open runs, failures, visibility."""

from __future__ import annotations

import pytest

from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.model import Concurrency, Kind, Outcome, Settings
from afterrun_exporter.core.open_runs import MAX_OPEN_RUNS
from afterrun_exporter.core.rules import parse_rule
from tests.copies import replace
from tests.core.jobs import BACKUP, GOOD, SETTINGS, Night, at, told

LIMITED = replace(BACKUP, max_runtime=3600)
PATIENT = replace(BACKUP, after_failures=3)


class TestAFinish:
    def test_that_is_ok_is_a_success(self) -> None:
        night = Night().ping("22 02:10", duration=12.5)

        state = night.state
        assert night.outcomes == ["ok"]
        assert state.last_success_at == state.last_finish_at == at("22 02:10")
        assert (state.runs_total, state.failures_total) == (1, 0)
        assert (state.duration_sum, state.duration_count) == (12.5, 1)
        assert state.metrics == GOOD

    def test_that_breaks_a_rule_is_violated_and_does_not_also_fail(self) -> None:
        night = Night().ping("22 02:10", metrics={**GOOD, "rows": 0})

        assert night.outcomes == ["violated"]
        assert night.open == ["rows > 0"]
        assert night.alerts[0].summary == "rows was 0, expected > 0"
        assert night.alerts[0].run == 1
        assert night.state.violating_total == 1
        assert night.state.failures_total == 0
        assert night.state.last_failure_at == at("22 02:10")

    def test_that_reports_nothing_breaks_every_rule(self) -> None:
        night = Night().ping("22 02:10", metrics={})

        assert night.open == ["rows > 0", "size > 1KiB"]

    @pytest.mark.parametrize(
        "outcome", [Outcome.FAIL, Outcome.PARTIAL, Outcome.TIMEOUT, Outcome.INVALID]
    )
    def test_that_went_wrong_fails_the_job_and_is_held_against_no_rule(
        self, outcome: Outcome
    ) -> None:
        night = Night().ping("22 02:10", outcome=outcome, metrics={})

        assert night.open == ["failing"]
        assert night.runs[0].violations == ()
        assert night.state.failures_total == 1

    def test_says_in_its_alert_what_the_job_said(self) -> None:
        night = Night().fail("22 02:10", message="pg_dump: connection refused")

        assert night.alerts[0].summary == (
            "the last run ended with fail: pg_dump: connection refused"
        )

    @pytest.mark.parametrize(
        ("message", "said"),
        [
            ("no\x00 such\n\tfile\x1b[0m ", "no such file"),
            ("x" * 300, "x" * 300),
            ("first" + "x" * 10_000 + "last", "…" + "x" * 296 + "last"),
            ("\n" * 10_000 + "last", "last"),
            ("\x00\n ", ""),
        ],
    )
    def test_says_it_in_one_line_that_is_not_too_long(
        self, message: str, said: str
    ) -> None:
        """The end is where the error stands. All of it stays with the run."""
        night = Night().fail("22 02:10", message=message)

        words = "the last run ended with fail"
        assert night.alerts[0].summary == (f"{words}: {said}" if said else words)
        assert night.runs[0].message == message

    def test_that_was_canceled_neither_fails_nor_heals(self) -> None:
        night = Night().fail("22 02:10").ping("22 02:20", outcome=Outcome.CANCELED)

        assert night.open == ["failing"]
        assert night.state.consecutive_failures == 1
        assert night.state.runs_total == 2
        assert night.state.last_outcome is Outcome.FAIL

    @pytest.mark.parametrize("before", ["fail", "ok", "violated"])
    def test_that_was_skipped_counts_for_its_slot_and_judges_nothing(
        self, before: str
    ) -> None:
        night = Night().ping(
            "21 02:10",
            outcome=Outcome.FAIL if before == "fail" else Outcome.OK,
            metrics={"rows": 0.0 if before == "violated" else 5.0},
        )
        opened, state = night.open, night.state

        night.ping("22 02:10", outcome=Outcome.SKIPPED, metrics={}).clock("22 12:00")

        assert night.open == opened
        assert night.state.last_outcome is state.last_outcome
        assert night.state.consecutive_failures == state.consecutive_failures
        assert night.state.previous == state.previous
        assert night.state.last_success_at == state.last_success_at
        assert night.state.runs_total == 2
        assert night.state.missed_total == 0

    def test_that_was_skipped_late_makes_up_for_the_missed_slot(self) -> None:
        night = Night().clock("22 12:00").ping("22 12:10", outcome=Outcome.SKIPPED)

        assert night.open == []
        assert night.state.missed_total == 1

    def test_knows_its_duration_from_its_start(self) -> None:
        night = Night().start("22 02:00").ping("22 02:10")

        assert night.runs[0].duration == 600
        assert told(night.runs[0].started_at) == "22 02:00:00"

    def test_believes_the_job_about_its_duration(self) -> None:
        night = Night().start("22 02:00").ping("22 02:10", duration=5.0)

        assert night.runs[0].duration == 5

    def test_that_ends_before_it_starts_has_no_duration(self) -> None:
        night = Night().ping(
            "22 02:10", started_at=at("22 02:10"), ended_at=at("22 02:00")
        )

        assert night.runs[0].duration is None
        assert "ends before it starts" in night.last.warnings[0]

    def test_from_a_clock_ahead_of_ours_ended_when_it_arrived(self) -> None:
        night = Night().ping("22 02:10", ended_at=at("22 03:10"))

        assert told(night.runs[0].finished_at) == "22 02:10:00"
        assert night.last.warnings == (
            "ended_at is 1h ahead of this machine's clock: the time of arrival counts",
        )


class TestFailing:
    def test_begins_when_enough_runs_in_a_row_were_bad(self) -> None:
        night = Night(PATIENT).fail("22 02:01").fail("22 02:02")
        assert night.open == []

        night.fail("22 02:03")

        assert night.open == ["failing"]
        assert night.alerts[0].summary == (
            "3 runs in a row were not ok; the last run ended with fail"
        )

    def test_counts_whatever_was_not_ok(self) -> None:
        night = Night(PATIENT).fail("22 02:01")
        night.ping("22 02:02", metrics={}).fail("22 02:03")

        assert night.state.consecutive_failures == 3
        assert "failing" in night.open

    def test_is_not_what_a_violated_rule_is_called(self) -> None:
        night = Night(PATIENT)
        for minute in ("01", "02", "03", "04"):
            night.ping(f"22 02:{minute}", metrics={})

        assert "failing" not in night.open

    def test_is_one_alert_however_often_it_fails(self) -> None:
        night = Night().fail("22 02:01").fail("22 02:02").fail("22 02:03")

        assert len(night.alerts) == 1

    def test_ends_with_the_next_good_run(self) -> None:
        night = Night().fail("22 02:01").ping("22 02:30")

        assert night.open == []
        assert night.state.consecutive_failures == 0
        assert told(night.alerts[-1].at) == "22 02:30:00"

    def test_follows_a_change_of_the_threshold(self) -> None:
        night = Night(PATIENT).fail("22 02:01")
        night.job = BACKUP

        assert night.clock("22 02:02").open == ["failing"]


class TestAViolatedRule:
    def test_stays_violated_through_a_failed_run(self) -> None:
        """Nobody has judged it since: it is not known to be mended."""
        night = Night().ping("22 02:01", metrics={**GOOD, "rows": 0}).fail("22 02:02")

        assert night.open == ["failing", "rows > 0"]

    def test_is_resolved_on_its_own(self) -> None:
        night = Night().ping("22 02:01", metrics={})
        night.ping("22 02:02", metrics={"rows": 1})

        assert night.open == ["size > 1KiB"]

    def test_that_leaves_the_configuration_is_resolved(self) -> None:
        night = Night().ping("22 02:01", metrics={})
        night.job = replace(BACKUP, rules=BACKUP.rules[:1])

        assert night.clock("22 02:02").open == ["rows > 0"]

    def test_has_the_severity_of_the_rule_where_it_has_one(self) -> None:
        rule = replace(parse_rule("rows > 0"), severity="critical")
        night = Night(replace(BACKUP, rules=(rule,))).ping("22 02:01", metrics={})

        assert night.alerts[0].severity == "critical"

    def test_compares_with_the_last_run_that_was_ok(self) -> None:
        halved = parse_rule("rows >= 0.5 * previous")
        night = Night(replace(BACKUP, rules=(halved,)))
        night.ping("22 02:01", metrics={"rows": 100})
        night.ping("22 02:02", metrics={"rows": 40})
        assert night.outcomes[-1] == "violated"

        night.ping("22 02:03", metrics={"rows": 45})

        assert night.outcomes[-1] == "violated"
        assert night.state.previous == {"rows": 100}


class TestAnOpenRun:
    def test_is_the_one_with_the_id_of_the_finish(self) -> None:
        night = Night().start("22 02:00", run_id="a").start("22 02:05", run_id="b")
        night.ping("22 02:10", run_id="a")

        assert night.runs[0].duration == 600
        assert [run.run_id for run in night.state.open_runs] == ["b"]

    def test_without_an_id_is_the_only_one_there_is(self) -> None:
        """A start with an id and a finish without: a script like many."""
        night = Night().start("22 02:00", run_id="a").ping("22 02:10")

        assert night.runs[0].run_id == "a"
        assert night.state.open_runs == ()

    def test_is_not_guessed_among_several(self) -> None:
        night = Night().start("22 02:00", run_id="a").start("22 02:05", run_id="b")
        night.ping("22 02:10")

        assert night.runs[0].run_id is None
        assert len(night.state.open_runs) == 2

    def test_collects_what_progress_reports(self) -> None:
        night = Night().start("22 02:00")
        night.ping("22 02:05", Kind.PROGRESS, metrics={"rows": 60, "size": 2000})
        night.ping("22 02:10", metrics={"rows": 120})

        assert night.outcomes == ["ok"]
        assert night.runs[0].metrics == {"rows": 120, "size": 2000}

    def test_without_an_id_is_followed_by_the_next_and_noted(self) -> None:
        night = Night().start("22 02:00").start("23 02:00")

        assert len(night.state.open_runs) == 1
        assert night.logs[0].message == (
            "the run started at 2026-11-22T02:00:00Z never reported its end"
        )

    def test_past_its_max_runtime_is_overrunning(self) -> None:
        night = Night(LIMITED).start("22 02:00").clock("22 03:00:01")

        assert "overrunning" in night.open
        overrunning = next(a for a in night.alerts if "finished by" in a.summary)
        assert told(overrunning.alert.opened_at) == "22 03:00:00"

    def test_that_ends_late_is_ok(self) -> None:
        """Overrunning has already told."""
        night = Night(LIMITED).start("22 02:00").clock("22 03:30").ping("22 03:40")

        assert night.outcomes == ["ok"]
        assert night.open == []

    def test_that_has_ended_does_not_go_on(self) -> None:
        night = Night(LIMITED).ping("22 02:10", run_id="a")
        night.start("22 02:20", run_id="a", keeps_alive=True)

        assert night.last.duplicate
        assert night.state.open_runs == ()

    def test_past_its_max_runtime_is_a_timeout_once_the_next_one_starts(self) -> None:
        night = Night(LIMITED).start("22 02:00").start("23 02:00")

        assert night.outcomes == ["timeout"]
        assert told(night.runs[0].finished_at) == "22 03:00:00"
        assert night.state.consecutive_failures == 1
        assert "failing" not in night.open
        assert "overrunning" in night.open

    def test_given_up_as_a_timeout_may_still_report(self) -> None:
        night = (
            Night(LIMITED).start("22 02:00", run_id="a").start("23 02:00", run_id="b")
        )
        night.ping("23 02:05", run_id="a")

        assert night.outcomes == ["timeout", "ok"]
        assert not night.last.duplicate

    def test_is_one_of_so_many_at_most(self) -> None:
        """The oldest are given up and noted; nobody has said that they failed."""
        night = Night()
        for number in range(MAX_OPEN_RUNS + 5):
            night.start("22 02:00", run_id=str(number))

        assert len(night.state.open_runs) == MAX_OPEN_RUNS
        assert [entry.run_id for entry in night.logs] == ["0", "1", "2", "3", "4"]
        assert night.outcomes == []

    def test_is_over_when_a_later_attempt_of_it_starts(self) -> None:
        night = Night(LIMITED).start("22 02:00", run_id="a")
        night.start("22 02:10", run_id="a", attempt=2)
        night.ping("22 02:20", run_id="a", attempt=2).clock("22 05:00")

        assert night.open == []
        assert night.runs[0].duration == 600
        assert night.start("23 02:00", run_id="b").outcomes == ["ok"]

    def test_is_over_when_a_later_attempt_of_it_ends(self) -> None:
        night = Night(LIMITED).start("22 02:00", run_id="a")
        night.start("22 02:05", run_id="b")
        night.ping("22 02:20", run_id="a", attempt=2)

        assert [run.run_id for run in night.state.open_runs] == ["b"]

    def test_that_started_without_an_id_may_end_with_one(self) -> None:
        night = Night().start("22 02:00").ping("22 02:10", run_id="a")

        assert night.runs[0].duration == 600
        assert night.state.open_runs == ()

    def test_has_as_many_metrics_as_the_limit_allows(self) -> None:
        night = Night(settings=Settings(metrics_per_job=2)).start("22 02:00")
        for minute, names in ((1, "ab"), (2, "cd"), (3, "ef")):
            metrics = dict.fromkeys(names, 1.0)
            night.ping(f"22 02:0{minute}", Kind.PROGRESS, metrics=metrics)
        night.ping("22 02:10", metrics={"g": 1.0})

        assert set(night.runs[0].metrics) == {"f", "g"}
        assert len(night.state.metrics) == 2


class TestAnUnreadableReport:
    def test_does_not_take_the_place_of_the_run_s_real_end(self) -> None:
        """It may have been a progress ping: the finish is still to come."""
        night = Night().start("22 02:00", run_id="a")
        night.ping("22 02:05", outcome=Outcome.INVALID)
        night.ping("22 02:10", run_id="a")

        assert not night.last.duplicate
        assert night.outcomes == ["invalid", "ok"]
        assert night.open == []

    def test_can_be_sent_again_as_it_should_have_been(self) -> None:
        night = Night().start("22 02:00", run_id="a")
        night.ping("22 02:05", outcome=Outcome.INVALID).ping("22 02:06", run_id="a")

        assert night.outcomes == ["invalid", "ok"]


class TestReportsOutOfOrder:
    def test_change_no_verdict_but_are_kept(self) -> None:
        night = Night().ping("22 02:30", run_id="b")
        night.fail("22 02:31", run_id="a", ended_at=at("22 02:10"))

        assert night.open == []
        assert night.state.last_outcome is Outcome.OK
        assert night.state.runs_total == 2
        assert night.state.last_finish_at == at("22 02:30")
        assert night.state.last_failure_at == at("22 02:10")

    def test_are_held_against_the_last_verdict_not_against_a_cancellation(self) -> None:
        night = Night().fail("22 02:00").ping("22 02:30", outcome=Outcome.CANCELED)
        night.ping("22 02:31", ended_at=at("22 02:15"))

        assert night.open == []

    def test_heal_a_run_that_was_given_up(self) -> None:
        """A late ok finish is ok."""
        night = (
            Night(LIMITED).start("22 02:00", run_id="a").start("22 04:00", run_id="b")
        )
        assert "overrunning" in night.open

        night.ping("22 04:01", run_id="a", ended_at=at("22 02:50"))

        assert night.outcomes == ["timeout", "ok"]
        assert night.open == []

    def test_as_given_up_runs_do_not_override_a_newer_verdict(self) -> None:
        overlapped = replace(LIMITED, concurrency=Concurrency(max=2))
        night = Night(overlapped).start("22 02:00", run_id="a")
        night.start("22 02:30", run_id="b").ping("22 03:30", run_id="b")
        night.start("22 03:40", run_id="c")

        assert night.outcomes == ["ok", "timeout"]
        assert "failing" not in night.open

    def test_are_not_suspected_after_a_clock_was_set_back(self) -> None:
        """The last run seems to be of the future: what comes now is newer."""
        night = Night().ping("22 04:00")
        night.fail("22 02:10", ended_at=at("22 02:10"))

        assert night.open == ["failing"]


class TestMetrics:
    def test_keep_the_last_value_of_each(self) -> None:
        night = Night().ping("22 02:01", metrics={"rows": 1, "size": 2000})
        night.ping("22 02:02", metrics={"rows": 2})

        assert night.state.metrics == {"rows": 2, "size": 2000}

    def test_forget_the_longest_unreported_over_the_limit(self) -> None:
        night = Night(settings=Settings(metrics_per_job=2))
        night.ping("22 02:01", metrics={"a": 1, "b": 1})
        night.ping("22 02:02", metrics={"b": 2, "c": 2})

        assert night.state.metrics == {"b": 2, "c": 2}


class TestAConditionThatIsSoonOver:
    """What happens between two scrapes is not lost."""

    def test_is_shown_for_a_minute(self) -> None:
        night = Night().fail("22 02:10:00").ping("22 02:10:05")

        assert night.open == []
        assert alerts.is_visible(night.state, alerts.FAILING)
        assert told(wake_at(BACKUP, night.state, SETTINGS)) == "22 02:11:00"

        night.clock("22 02:11:00")

        assert not alerts.is_visible(night.state, alerts.FAILING)

    def test_has_its_exact_times_in_the_record(self) -> None:
        night = Night().fail("22 02:10:00").ping("22 02:10:05")

        opened, resolved = night.alerts
        assert told(opened.alert.opened_at) == "22 02:10:00"
        assert told(resolved.at) == "22 02:10:05"

    def test_is_not_shown_longer_for_having_been_seen(self) -> None:
        night = Night().fail("22 02:10").ping("22 03:10")

        assert not alerts.is_visible(night.state, alerts.FAILING)

    def test_is_not_shown_for_days_when_the_clock_is_set_back(self) -> None:
        night = Night().fail("25 02:10:00").ping("25 02:10:05")

        night.clock("22 02:10:00").clock("22 02:11:01")

        assert not alerts.is_visible(night.state, alerts.FAILING)

    def test_shows_the_deadline_that_was_missed(self) -> None:
        night = Night().ping("22 02:30:10")

        healed = alerts.recently_resolved(night.state, alerts.MISSED)
        assert healed is not None
        assert healed.deadline is not None
        assert told(healed.deadline) == "22 02:30:00"

    def test_that_comes_back_meanwhile_is_the_new_alert(self) -> None:
        night = Night().fail("22 02:10:00").ping("22 02:10:05").fail("22 02:10:10")

        assert night.open == ["failing"]
        assert night.state.healed == ()
        assert len(night.alerts) == 3


def test_a_log_ping_is_kept_and_changes_nothing() -> None:
    night = Night().ping("22 02:10", Kind.LOG, message="copied 3 of 7")

    assert night.logs[0].message == "copied 3 of 7"
    assert night.state.last_ping_at == at("22 02:10")
    assert night.state.runs_total == 0


def test_the_message_of_a_start_is_a_log_entry() -> None:
    night = Night().start("22 02:00", message="dumping")

    assert [entry.message for entry in night.logs] == ["dumping"]
