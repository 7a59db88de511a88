"""Why a job is broken: the value and the rule, how it ended, what it said, since when."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.rules import Violation, parse_rule
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.page.reasons import LONGEST, TITLES, Reason, expected_of, reasons
from afterrun_exporter.storage.store import AlertRecord
from tests.changed import replace
from tests.core.jobs import BACKUP, Night, at

NOW = at("22 05:00")


def of(night: Night, *recorded: AlertRecord) -> list[Reason]:
    return reasons(night.job, night.state, NOW, night.runs[::-1], recorded)


def test_every_condition_has_a_title() -> None:
    assert TITLES.keys() == set(Condition)


def test_a_job_that_is_fine_has_no_reason() -> None:
    assert of(Night().ping("22 02:00")) == []


def test_a_broken_rule_tells_the_value_and_what_was_expected() -> None:
    night = Night().ping("22 02:05", metrics={"rows": 0.0, "size": 9e9}, message="done")
    (reason,) = of(night)

    assert (reason.title, reason.metric) == ("broke a rule", "rows")
    assert (reason.value, reason.expected) == ("0", "> 0")
    assert reason.message == "done"
    assert reason.since is not None
    assert reason.since.iso == "2026-11-22T02:05:00Z"
    assert reason.since.away == "2 h 55 min ago"


def test_a_rule_without_a_value_says_that_it_was_not_reported() -> None:
    (rows, size) = of(Night().ping("22 02:05", metrics={}))

    assert {rows.value, size.value} == {"not reported"}


def test_the_value_is_that_of_the_last_run_and_not_of_the_first() -> None:
    night = Night()
    night.ping("22 02:05", metrics={"rows": 0.0, "size": 9e9})
    night.ping("22 03:05", metrics={"rows": -7.0, "size": 9e9})
    (reason,) = of(night)

    assert reason.value == "-7"
    assert reason.since is not None
    assert reason.since.iso == "2026-11-22T02:05:00Z"


def test_a_named_rule_is_told_by_its_name_too() -> None:
    job = replace(
        BACKUP,
        rules=(replace(parse_rule("rows > 0"), name="some-rows", severity="page"),),
    )
    (reason,) = of(Night(job).ping("22 02:05", metrics={}))

    assert reason.words == "The rule is some-rows."
    assert reason.severity == "page"


def test_a_failure_tells_how_it_ended_and_the_end_of_what_was_said() -> None:
    night = (
        Night()
        .fail("22 02:00")
        .fail(
            "22 03:00", exit_code=3, duration=252.0, message="x" * 2000 + " disk full"
        )
    )
    (reason,) = of(night)

    assert reason.words == (
        "The last run ended with fail, exit code 3, after 4m12s. "
        "2 runs in a row were not ok."
    )
    assert reason.message.endswith(" disk full")
    assert len(reason.message) == LONGEST + 1


def test_of_many_lines_the_last_are_told() -> None:
    said = "\n".join(f"line {n}" for n in range(50))
    (reason,) = of(Night().fail("22 02:00", message=said))

    assert reason.message.startswith("…line 42\n")
    assert reason.message.endswith("\nline 49")


def test_a_job_that_recovers_says_how_far_it_is() -> None:
    job = replace(BACKUP, recover_after=3)
    night = Night(job).fail("22 02:00", message="boom").ping("22 03:00")
    (reason,) = of(night)

    assert reason.words == ("It is recovering: 1 of the 3 required ok runs.")
    assert reason.message == ""


def test_a_run_that_was_canceled_is_not_what_failed() -> None:
    night = Night().fail("22 02:00", message="boom")
    night.ping("22 03:00", outcome=Outcome.CANCELED, message="never mind")

    assert of(night)[0].message == "boom"


def test_a_miss_tells_when_it_last_ran() -> None:
    (never,) = of(Night().clock("22 02:31"))
    (once,) = of(Night(known="20 12:00").ping("21 02:00").clock("22 02:31"))

    assert never.words == "No run finished by then; it has never run."
    assert once.words == "No run finished by then. The last one ended 1 d 3 h ago: ok."
    assert once.since is not None
    assert once.since.iso == "2026-11-22T02:30:00Z"


def test_what_one_run_said_is_told_once() -> None:
    night = Night().ping("22 02:05", metrics={}, message="nothing to do")

    assert [one.message for one in of(night)] == ["nothing to do", ""]


def test_other_conditions_are_told_as_they_were_recorded() -> None:
    job = replace(BACKUP, max_runtime=60.0)
    night = Night(job).start("22 02:00", run_id="a").clock("22 02:05")
    key = AlertKey(Condition.OVERRUNNING)
    record = AlertRecord(
        job="backup",
        key=key,
        severity="warning",
        summary="a run should have finished by then",
        opened_at=NOW,
        resolved_at=None,
        run=0,
    )
    (reason,) = of(night, record)

    assert reason.title == "running too long"
    assert reason.words == "A run should have finished by then."


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("duration < 45m", "< 45m"), ("duration < 2 * previous", "as written")],
)
def test_a_duration_is_expected_in_units(rule: str, expected: str) -> None:
    job = replace(BACKUP, rules=(parse_rule(rule),))

    assert (
        expected_of(job.rules, Violation(rule, "duration", 1.0, "as written"))
        == expected
    )
