"""Some jobs are well again after one good run, others have to prove it."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.alerts import FAILING
from afterrun_exporter.core.model import Outcome
from tests.changed import replace
from tests.core.jobs import BACKUP, Night, at

WARY = replace(BACKUP, recover_after=3)


def after(outcomes: str) -> Night:
    """Return a night of runs, one a minute: Failed, Ok, Violated, Canceled."""
    night = Night(WARY)
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
