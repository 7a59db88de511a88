"""Why a job is broken: the value and the rule, how it ended, what it said, since when."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.rules import Violation, parse_rule
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.page.reasons import LONGEST, TITLES, Reason, reasons
from afterrun_exporter.page.violations import Broken, broken_by, summary_in_words
from afterrun_exporter.storage.store import AlertRecord
from tests.copies import replace
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

    assert reason.title == "violated"
    assert reason.broken == (Broken("rows", "0", "> 0"),)
    assert reason.message == "done"
    assert reason.since is not None
    assert reason.since.iso == "2026-11-22T02:05:00Z"
    assert reason.since.away == "2h55m ago"


def test_a_rule_without_a_value_says_that_it_was_not_reported() -> None:
    (reason,) = of(Night().ping("22 02:05", metrics={}))

    assert {one.value for one in reason.broken} == {"not reported"}


def test_rules_that_one_run_broke_are_told_together() -> None:
    rules = (parse_rule("rows > 0"), parse_rule("size > 1KiB"))
    rules = (rules[0], replace(rules[1], severity="critical"))
    night = Night(replace(BACKUP, rules=rules))
    night.ping("22 02:05", metrics={"rows": 0.0, "size": 12.0})
    (reason,) = of(night)

    assert reason.title == "violated 2 rules"
    assert reason.severity == "critical"
    assert reason.broken == (
        Broken("rows", "0", "> 0"),
        Broken("size", "12 B", "> 1 KiB"),
    )


def test_a_rule_that_was_broken_before_is_told_apart() -> None:
    night = Night().ping("22 02:05", metrics={"rows": 0.0, "size": 9e9})
    night.ping("22 03:05", metrics={"rows": 0.0, "size": 12.0})

    assert [len(one.broken) for one in of(night)] == [1, 1]


def test_the_value_is_that_of_the_last_run_and_not_of_the_first() -> None:
    night = Night()
    night.ping("22 02:05", metrics={"rows": 0.0, "size": 9e9})
    night.ping("22 03:05", metrics={"rows": -7.0, "size": 9e9})
    (reason,) = of(night)

    assert reason.broken[0].value == "-7"
    assert reason.since is not None
    assert reason.since.iso == "2026-11-22T02:05:00Z"


def test_a_named_rule_is_told_by_its_name_too() -> None:
    job = replace(
        BACKUP,
        rules=(replace(parse_rule("rows > 0"), name="some-rows", severity="page"),),
    )
    (reason,) = of(Night(job).ping("22 02:05", metrics={}))

    assert reason.broken[0].name == "some-rows"
    assert reason.severity == "page"


def test_a_failure_tells_how_it_ended_and_the_end_of_what_was_said() -> None:
    night = (
        Night()
        .fail("22 02:00")
        .fail(
            "22 03:00",
            exit_code=137,
            duration=252.123,
            message="x" * 2000 + " disk full",
        )
    )
    (reason,) = of(night)

    assert reason.words == (
        "The last run ended with fail, exit code 137 "
        "(ended by SIGKILL, often out of memory), after 4m12s. "
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

    due = "It was due Sun 22 Nov 02:00 UTC (every day at 02:00, grace 30m)."
    late = "No run finished by Sun 22 Nov 02:30 UTC"
    assert never.words == f"{due} {late}; it has never run."
    assert once.words == f"{due} {late}. The last one ended 1d3h ago: ok."
    assert once.since is not None
    assert once.since.iso == "2026-11-22T02:30:00Z"


def test_what_one_run_said_is_told_once() -> None:
    night = Night().ping("22 02:05", metrics={}, message="nothing to do")

    assert [one.message for one in of(night)] == ["nothing to do"]


@pytest.mark.parametrize(
    ("metadata", "host"),
    [('{"host": "db1"}', "db1"), ('{"node": "n2", "host": 7}', "n2"), ("", ""),
     ('{"host": "' + "x" * 20_000 + '"}', "")],
)  # fmt: skip
def test_the_host_of_the_last_run_is_told(metadata: str, host: str) -> None:
    (reason,) = of(Night().fail("22 02:00", metadata=metadata))

    assert reason.host == host


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

    assert reason.title == "overrunning"
    assert reason.words == "A run should have finished by then."


@pytest.mark.parametrize(
    ("rule", "value", "expected", "told"),
    [
        ("duration < 45m", 2940.0, "< 2700", "duration 49m, expected < 45m"),
        ("duration < 45m", 2700.4, "< 2700", "duration 45m0.4s, expected < 45m"),
        ("size > 1MiB", 1213.0, "> 1048576", "size 1.2 KiB, expected > 1 MiB"),
        (
            "file_bytes >= 0.5 * previous",
            1213.0,
            ">= 215613578.5 (0.5 * previous)",
            "file_bytes 1.2 KiB, expected >= 205.6 MiB (0.5 * previous)",
        ),
        ("r between 1% and 5%", 0.07, ">= 0.01 and <= 0.05", "r 7%, expected >= 1% and <= 5%"),
        ("rows > 2 * previous", None, "> 2 * previous", "rows not reported, expected > 2 * previous"),
        ("gone", 1213.0, "> 5000", "rows 1,213, expected > 5,000"),
    ],
)  # fmt: skip
def test_values_have_the_unit_of_the_rule(
    rule: str, value: float | None, expected: str, told: str
) -> None:
    rules = () if rule == "gone" else (parse_rule(rule),)
    metric = told.partition(" ")[0]
    broken = broken_by(rules, Violation(rule, metric, value, expected))

    assert f"{broken.metric} {broken.value}, expected {broken.expected}" == told


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        (
            "size_bytes was not reported, expected > 1048576",
            "size_bytes was not reported, expected > 1 MiB",
        ),
        (
            "size_bytes was 1213, expected > 1048576",
            "size_bytes was 1.2 KiB, expected > 1 MiB",
        ),
        (
            "size_bytes was 1.2 KiB, expected > 1 MiB",
            "size_bytes was 1.2 KiB, expected > 1 MiB",
        ),
    ],
)
def test_recorded_violations_have_the_unit_of_the_rule(summary: str, told: str) -> None:
    """Also those that an earlier version recorded."""
    rule = parse_rule("size_bytes > 1MiB")
    record = AlertRecord(
        job="backup",
        key=AlertKey(Condition.VIOLATED, rule.name),
        severity="warning",
        summary=summary,
        opened_at=NOW,
        resolved_at=None,
        run=0,
    )

    assert summary_in_words(replace(BACKUP, rules=(rule,)), record, NOW) == told


def test_a_text_is_expected_as_it_is_written() -> None:
    rule = parse_rule('status == "10"')
    broken = broken_by((rule,), Violation(rule.name, rule.metric, None, '== "10"', "9"))

    assert (broken.value, broken.expected) == ('"9"', '== "10"')


def test_measured_durations_have_no_useless_digits() -> None:
    record = AlertRecord(
        job="backup",
        key=AlertKey(Condition.SLOW),
        severity="warning",
        summary="the last run took 6m58.381s, more than 2 times the median of 3m2.04s",
        opened_at=NOW,
        resolved_at=None,
        run=0,
    )

    assert summary_in_words(BACKUP, record, NOW) == (
        "the last run took 6m58s, more than 2 times the median of 3m2s"
    )
