"""An attempt is not a run: what a failed one does while another is to follow."""

from __future__ import annotations

from typing import Any, Self

import pytest

from afterrun_exporter.core.alerts import FAILING
from afterrun_exporter.core.deadlines import deadline, wake_at
from afterrun_exporter.core.model import Job, Kind, Outcome, Settings, SuccessRatio
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.storage.codec import decode_state, encode_state
from tests.copies import replace
from tests.core.jobs import BACKUP, SETTINGS, Night, at, told

#: Not scheduled, and without rules.
PLAIN = Job(name="backup")
LIMITED = replace(BACKUP, max_runtime=3600)


class Tries(Night):
    """A job whose runs are tried three times."""

    def attempt(
        self,
        when: str,
        number: int,
        outcome: Outcome = Outcome.FAIL,
        run_id: str | None = "a",
        **more: Any,
    ) -> Self:
        """Report the end of an attempt."""
        more.setdefault("max_attempts", 3)
        self.ping(
            when,
            outcome=outcome,
            run_id=run_id,
            attempt=number,
            has_attempt=True,
            **more,
        )
        return self

    def begin(self, when: str, number: int, run_id: str | None = "a") -> Self:
        """Report the start of an attempt."""
        self.start(
            when, run_id=run_id, attempt=number, has_attempt=True, max_attempts=3
        )
        return self

    @property
    def counts(self) -> tuple[int, int, int]:
        """Runs, failures and attempts."""
        state = self.state
        return state.runs_total, state.failures_total, state.attempts_total


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.TIMEOUT])
class TestAFailedAttempt:
    def test_judges_nothing_while_another_is_to_follow(self, outcome: Outcome) -> None:
        night = Tries(replace(BACKUP, success_ratio=SuccessRatio(below=1, over=600)))
        before = night.clock("22 02:00").state
        night.attempt("22 02:05", 1, outcome, duration=60.0, metrics={"rows": 1.0})

        (run,) = night.runs
        assert (run.outcome, run.is_retried) == (outcome, True)
        assert night.last.run == run
        assert night.alerts == []
        assert night.counts == (0, 0, 1)
        after = replace(night.state, attempts_total=0, run_keys=b"", retries=())
        assert replace(after, last_ping_at=before.last_ping_at) == before

    def test_is_followed_by_a_success_and_was_nothing(self, outcome: Outcome) -> None:
        night = Tries().attempt("22 02:05", 1, outcome)
        night.attempt("22 02:07", 2, Outcome.OK).clock("23 02:00")

        assert night.alerts == []
        assert night.counts == (1, 0, 1)
        assert night.state.consecutive_failures == 0
        assert night.state.last_failure_at == 0
        assert night.state.retries == ()

    def test_is_the_run_where_it_is_the_last(self, outcome: Outcome) -> None:
        night = Tries().attempt("22 02:05", 1, outcome).attempt("22 02:06", 2, outcome)
        assert night.open == []

        night.attempt("22 02:08", 3, outcome, message="disk full").clock("23 02:00")

        assert night.open == ["failing"]
        assert night.counts == (1, 1, 2)
        assert night.state.consecutive_failures == 1
        (opened,) = night.alerts
        assert opened.summary == f"the last run ended with {outcome}: disk full"
        assert opened.run == 3

    def test_leaves_the_job_failing_that_was(self, outcome: Outcome) -> None:
        night = Tries().fail("21 13:00").attempt("22 02:05", 1, outcome)

        assert night.open == ["failing"]
        assert night.state.consecutive_failures == 1


@pytest.mark.parametrize(
    ("outcome", "counts", "state"),
    [
        (Outcome.OK, (1, 0, 0), []),
        (Outcome.PARTIAL, (1, 1, 0), ["failing"]),
        (Outcome.INVALID, (1, 1, 0), ["failing"]),
        (Outcome.CANCELED, (1, 0, 0), []),
        (Outcome.SKIPPED, (1, 0, 0), []),
        (Outcome.FAIL, (0, 0, 1), []),
        (Outcome.TIMEOUT, (0, 0, 1), []),
    ],
)
def test_only_what_is_tried_again_waits(
    outcome: Outcome, counts: tuple[int, int, int], state: list[str]
) -> None:
    """A partial run has come to a result; of the unreadable nobody can tell."""
    night = Tries().attempt("22 02:05", 1, outcome)

    assert (night.counts, night.open) == (counts, state)


def test_a_broken_rule_is_judged_at_any_attempt() -> None:
    """The job said that it went well: nothing tries that again."""
    night = Tries().attempt("22 02:05", 1, Outcome.OK, metrics={"rows": 0.0})

    assert night.open == ["rows > 0", "size > 1KiB"]
    assert night.state.violating_total == 1


@pytest.mark.parametrize("final", [Outcome.CANCELED, Outcome.SKIPPED])
def test_a_run_that_is_canceled_between_attempts_fails_nothing(final: Outcome) -> None:
    night = Tries(PLAIN).attempt("22 02:05", 1).attempt("22 02:06", 2, final)
    night.clock("23 02:00")

    assert night.open == []
    assert night.counts == (1, 0, 1)


@pytest.mark.parametrize(
    ("job", "started", "until"),
    [
        # By the deadline of the slot, or the whole max_runtime of what started in time.
        (BACKUP, "22 02:04", "22 02:30"),
        (LIMITED, "22 02:04", "22 03:04"),
        (replace(LIMITED, max_runtime=60), "22 02:04", "22 02:30"),
        # What was killed at its max_runtime is tried again, too: grace, then.
        (replace(BACKUP, max_runtime=1500, grace=1200), "22 02:00", "22 02:45"),
        # Out of turn: max_runtime, or two hours, or the next deadline.
        (LIMITED, "21 14:00", "21 15:00"),
        (BACKUP, "21 14:00", "21 16:25"),
        (BACKUP, "22 01:00", "22 02:30"),
        (replace(PLAIN, schedule=Every(3600)), "21 12:10", "21 13:05"),
        # No schedule.
        (replace(PLAIN, max_runtime=3600), "22 02:04", "22 03:04"),
        (replace(PLAIN, max_runtime=60), "22 02:04", "22 02:30"),
        (PLAIN, "22 02:04", "22 04:25"),
    ],
)
def test_without_another_attempt_the_last_one_is_judged(
    job: Job, started: str, until: str
) -> None:
    """Each failed 25 minutes past the hour, and the clock tells."""
    day, hour = started[:2], started[3:5]
    ended = f"{day} {hour}:25"
    night = Tries(job).clock(started)
    night.attempt(ended, 1, started_at=at(started), message="disk full", exit_code=3)
    assert wake_at(job, night.state, SETTINGS) <= at(until)

    night.clock(until)
    assert night.counts == (0, 0, 1)
    night.clock(f"{until}:01")

    assert night.counts == (1, 1, 1)
    assert "failing" in night.open
    run = night.runs[-1]
    assert (run.run_id, run.exit_code, run.is_retried) == ("a", 3, False)
    assert (run.number, run.finished_at) == (2, at(ended))
    failing = next(one for one in night.alerts if one.key == FAILING)
    assert failing.run == 2
    assert failing.summary == (
        "the last run ended with fail: attempt 1 of 3 failed and no further attempt was reported by "
        f"2026-11-{until.replace(' ', 'T')}:00Z: disk full"
    )


class TestARunThatWaits:
    def test_is_not_also_missed(self) -> None:
        night = Tries().clock("22 01:59").attempt("22 02:05", 1)
        assert told(deadline(BACKUP, night.state, SETTINGS)) == "23 02:30:00"

        night.clock("22 02:31")

        assert night.open == ["failing"]
        assert night.state.missed_total == 0
        assert night.clock("23 02:31").open == ["failing", "missed"]

    def test_is_missed_once_it_is_canceled(self) -> None:
        """A canceled run counts for no slot, and neither did its attempts."""
        night = Tries().attempt("22 02:05", 1).attempt("22 02:06", 2, Outcome.CANCELED)

        assert night.clock("22 02:31").open == ["missed"]

    def test_does_not_make_up_for_a_missed_slot(self) -> None:
        night = Tries().clock("22 02:31").attempt("22 02:40", 1)
        assert night.open == ["missed"]

        assert night.attempt("22 02:41", 2, Outcome.OK).open == []

    def test_is_healed_by_a_late_success(self) -> None:
        night = Tries().attempt("22 02:05", 1).clock("22 02:31")
        night.attempt("22 03:00", 2, Outcome.OK)

        assert night.open == []
        assert not night.last.duplicate
        assert night.counts == (2, 1, 1)

    def test_waits_anew_for_what_has_started(self) -> None:
        night = Tries(LIMITED).begin("22 02:00", 1).attempt("22 02:10", 1)
        night.begin("22 02:50", 2).clock("22 03:49")
        assert night.open == []

        night.attempt("22 03:49", 2, Outcome.OK).clock("22 04:30")

        assert night.alerts == []
        assert night.counts == (1, 0, 1)

    @pytest.mark.parametrize("run_id", ["a", None])
    def test_is_a_timeout_where_what_has_started_does_not_end(
        self, run_id: str | None
    ) -> None:
        """It is one run, and fails once."""
        night = Tries(LIMITED).attempt("22 02:10", 1, run_id=run_id)
        night.begin("22 02:50", 2, run_id=run_id).clock("22 03:50:01")
        assert night.open == ["overrunning"]
        assert wake_at(LIMITED, night.state, SETTINGS) > at("22 03:50:01")

        night.begin("22 09:00", 1, run_id="b" if run_id else None)

        assert night.counts == (1, 1, 1)
        assert night.runs[-1].outcome is Outcome.TIMEOUT
        assert night.state.retries == ()

    @pytest.mark.parametrize(
        ("job", "until"), [(PLAIN, "23 02:10"), (BACKUP, "22 02:30")]
    )
    def test_does_not_wait_for_ever_for_what_has_started(
        self, job: Job, until: str
    ) -> None:
        night = Tries(job).attempt("22 02:05", 1).begin("22 02:10", 2)

        assert night.clock(until).open == []
        assert night.clock(f"{until}:01").open == ["failing"]

    def test_is_not_judged_for_what_fell_into_the_downtime(self) -> None:
        night = Tries(PLAIN).attempt("22 02:05", 1)
        night.settings = Settings(up_since=at("22 09:00"), settled_at=at("22 09:02"))

        assert night.clock("22 09:01").open == []
        assert wake_at(PLAIN, night.state, night.settings) == at("22 09:02")
        assert night.clock("22 09:02:01").open == ["failing"]

    def test_is_judged_in_time_where_it_failed_after_the_downtime(self) -> None:
        settings = Settings(up_since=at("22 02:00"), settled_at=at("22 09:00"))
        night = Tries(PLAIN, settings=settings).attempt("22 02:05", 1)

        assert wake_at(PLAIN, night.state, settings) == at("22 04:05")
        assert night.clock("22 04:05:01").open == ["failing"]

    def test_is_judged_where_the_clock_was_set_back(self) -> None:
        night = Tries(PLAIN).attempt("25 02:05", 1).clock("22 02:05")

        assert night.open == []
        assert wake_at(PLAIN, night.state, night.settings) == at("22 04:05")
        assert night.clock("22 04:05:01").open == ["failing"]

    def test_survives_a_restart(self) -> None:
        night = Tries().attempt("22 02:05", 1, message="disk full")
        night.state = decode_state(encode_state(night.state), night.state.run_keys)

        assert night.clock("22 02:31").open == ["failing"]
        assert "disk full" in night.alerts[0].summary

    def test_changes_no_newer_verdict(self) -> None:
        """Another run went well in the meantime."""
        night = Tries().attempt("22 02:05", 1).ping("22 02:10", run_id="b")
        night.clock("22 02:31")

        assert night.open == []
        assert night.counts == (2, 1, 1)
        assert night.state.last_outcome is Outcome.OK

    def test_is_one_of_few(self) -> None:
        night = Tries(PLAIN)
        for number in range(60):
            night.attempt(f"22 02:{number:02}", 1, run_id=f"r{number}")

        assert len(night.state.retries) <= 21
        assert night.counts[0] + len(night.state.retries) == 60
        assert night.open == ["failing"]

    def test_says_little_of_a_long_message(self) -> None:
        night = Tries(PLAIN).attempt("22 02:05", 1, message="x" * 10_000 + "the end")

        assert len(night.state.retries[0].message) == 1000
        assert "the end" in night.clock("22 12:00").alerts[0].summary

    def test_leaves_with_its_job(self) -> None:
        night = Tries(PLAIN).attempt("22 02:05", 1)
        night.state = replace(night.state, retired_at=at("22 02:06"))

        assert night.clock("22 12:00").open == []
        assert night.state.retries == ()


@pytest.mark.parametrize(
    ("arrived", "until"),
    [
        ("22 02:01", "22 04:01"),
        ("22 03:01", "22 04:01"),
        ("22 03:50", "22 04:01"),
        # Of what is late, more may be close behind: for the 30 minutes of grace.
        ("22 04:10", "22 04:40"),
        ("22 09:00", "22 09:30"),
    ],
)
def test_the_time_for_another_attempt_counts_from_the_end_of_the_one_before(
    arrived: str, until: str
) -> None:
    night = Tries(replace(PLAIN, grace=1800))
    night.attempt(arrived, 1, ended_at=at("22 02:01"))

    night.clock(until)
    assert "failing" not in night.open
    night.clock(f"{until}:01")
    assert "failing" in night.open


def test_progress_and_logs_change_nothing() -> None:
    night = Tries(PLAIN).attempt("22 02:05", 1)
    retries = night.state.retries
    night.ping("22 02:06", Kind.LOG, message="waiting").ping("22 02:07", Kind.PROGRESS)

    assert night.state.retries == retries


def test_a_number_beyond_the_last_is_the_last() -> None:
    assert Tries(PLAIN).attempt("22 02:05", 7).open == ["failing"]


def test_a_late_report_ends_a_miss_where_the_next_run_waits_for_an_attempt() -> None:
    """That run has come for the slot after, and is not judged yet."""
    nightly = replace(PLAIN, schedule=parse_cron("0 2 * * *", "UTC"), grace=1800)
    night = Tries(nightly, known="20 12:00").clock("21 02:31").clock("22 02:31")
    night.attempt("22 02:50", 1)
    assert night.open == ["missed"]

    night.ping("22 02:55", run_id="old", ended_at=at("21 02:10"))

    assert night.open == []


def test_a_retry_is_held_back_until_clients_had_time_to_report_after_a_downtime() -> (
    None
):
    night = Tries(PLAIN).attempt("22 02:05", 1)
    night.settings = Settings(
        down_since=at("22 03:00"), up_since=at("22 04:00"), settled_at=at("22 04:10")
    )

    assert wake_at(PLAIN, night.state, night.settings) == at("22 04:10")


def test_the_end_of_a_later_attempt_ends_an_earlier_one_past_its_limit() -> None:
    night = Tries(LIMITED).begin("22 02:00", 1)

    night.attempt("22 04:00", 2)

    assert night.state.open_runs == ()
    assert night.state.hung == ()


def test_another_run_that_timed_out_leaves_the_retries_as_they_are() -> None:
    night = Tries(PLAIN).attempt("22 02:05", 1)
    night.start("22 02:06", run_id="b", max_runtime=3600.0)

    night.attempt("22 03:10", 1, Outcome.FAIL, run_id="c")

    assert [run.run_id for run in night.runs if run.outcome is Outcome.TIMEOUT] == ["b"]
    assert [retry.run_id for retry in night.state.retries] == ["a", "c"]


def test_an_open_attempt_is_not_given_up_while_its_run_waits_for_it() -> None:
    night = Tries(PLAIN).attempt("22 02:05", 1).begin("22 02:10", 2)

    night.ping("22 12:00", run_id="b")

    assert [run.run_id for run in night.state.open_runs] == ["a"]
