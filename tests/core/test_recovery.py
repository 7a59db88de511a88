"""Some jobs are well again after one good run, others have to prove it."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.alerts import FAILING
from afterrun_exporter.core.model import Job, Outcome
from tests.copies import replace
from tests.core.jobs import BACKUP, Night, at

WARY = replace(BACKUP, recover_after=3)


def after(outcomes: str, job: Job = WARY) -> Night:
    """Return a night of runs, one a minute: Failed, Ok, Violated, Canceled."""
    night = Night(job)
    for minute, letter in enumerate(outcomes):
        when = f"22 03:{minute:02}"
        match letter:
            case "F":
                night.fail(when)
            case "V":
                night.ping(when, metrics={"rows": 0, "size": 9999})
            case "C":
                night.ping(when, outcome=Outcome.CANCELED)
            case _:
                night.ping(when)
    return night


@pytest.mark.parametrize(
    ("outcomes", "failing"),
    [
        ("F", True),
        ("FO", True),
        ("FOO", True),
        ("FOOO", False),
        # It starts anew with each failure, and a broken rule is no good run.
        ("FOOFOO", True),
        ("FOOVOO", True),
        ("FOOVOOO", False),
        # Neither for it nor against it.
        ("FOOCO", False),
        # Good runs before the failure are no proof.
        ("OOOFOO", True),
        ("OOOFOOO", False),
        ("O", False),
    ],
)
def test_a_failing_job_is_well_after_so_many_ok_runs(
    outcomes: str, failing: bool
) -> None:
    assert ("failing" in after(outcomes).open) is failing


def test_it_is_one_alert_all_the_while() -> None:
    night = after("FOFOOO")

    opened, resolved = (one for one in night.alerts if one.key == FAILING)
    assert opened.alert.opened_at == at("22 03:00")
    assert resolved.at == at("22 03:05")


def test_a_job_that_is_wary_no_more_is_well_at_once() -> None:
    night = after("FO")
    night.job = BACKUP

    assert night.clock("22 04:00").open == []


def test_a_run_that_never_ended_is_no_good_run() -> None:
    night = Night(replace(WARY, max_runtime=60))
    night.fail("22 03:00").ping("22 03:01").ping("22 03:02")
    night.start("22 03:03", run_id="a").start("22 03:10", run_id="b")
    night.ping("22 03:11", run_id="b")

    assert "failing" in night.open


@pytest.mark.parametrize(
    ("outcomes", "failing"),
    [
        ("F", False),
        ("FF", True),
        # A failure does not end what only ok runs end.
        ("FFOF", True),
        ("FFOFO", True),
        ("FFOFOO", False),
        ("FFVOF", True),
        ("FFOCO", False),
        # It takes two in a row to fail again.
        ("FFOOF", False),
        ("FFOOFF", True),
        ("FFOOFO", False),
        ("VFO", True),
        ("FVO", False),
    ],
)
def test_failures_and_recoveries_are_both_counted_in_a_row(
    outcomes: str, failing: bool
) -> None:
    job = replace(BACKUP, after_failures=2, recover_after=2)

    assert ("failing" in after(outcomes, job).open) is failing


def test_a_failure_while_it_recovers_neither_ends_nor_opens_an_alert() -> None:
    job = replace(BACKUP, after_failures=2, recover_after=2)
    night = after("FFOFOFOO", job)

    opened, resolved = (one for one in night.alerts if one.key == FAILING)
    assert opened.alert.opened_at == at("22 03:01")
    assert resolved.at == at("22 03:07")


def test_ok_runs_are_counted_from_the_last_bad_one_whatever_was_configured_then() -> (
    None
):
    """Without `recover_after` they are not counted, and must not be left over."""
    night = after("FOO")
    night.job = BACKUP
    night.clock("22 04:00").fail("22 04:01")
    night.job = WARY

    assert "failing" in night.ping("22 04:02").open


def test_two_runs_that_are_judged_at_once_are_judged_one_after_the_other() -> None:
    """The failed attempt is the run that the next one has overtaken."""
    night = Night(replace(BACKUP, recover_after=2, max_attempts=2))
    night.fail("22 03:00", has_attempt=True)
    night.ping("22 03:01", has_attempt=True)

    assert night.outcomes == ["fail", "fail", "ok"]
    assert "failing" in night.open
    assert "failing" not in night.ping("22 03:02").open
