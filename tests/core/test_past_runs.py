"""Runs that are reported long after they ended: what was over by then alerts nobody."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.core.model import (
    Concurrency,
    Job,
    Kind,
    Outcome,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.state import AlertOpened, AlertResolved
from tests.copies import replace
from tests.core.jobs import BACKUP, GOOD, Night, at, told

#: Every condition that runs open and resolve.
WATCHED = replace(
    BACKUP,
    schedule=None,
    rules=(parse_rule("rows > 0"),),
    success_ratio=SuccessRatio(below=0.9, over=30 * 86400.0, min_runs=2),
    slower_than=SlowerThan(factor=2.0, over=30 * 86400.0, min_runs=2),
    concurrency=Concurrency(max=1),
)


def load(night: Night, when: str, ended: str, **more: Any) -> Night:
    """Report *when* a run that ended at *ended*."""
    return night.ping(when, ended_at=at(ended), **more)


def records(night: Night) -> list[tuple[str, str, str]]:
    """Return of each alert that opened its condition, when it did, and when it ended."""
    found: list[tuple[str, str, str]] = []
    for event in night.alerts:
        if isinstance(event, AlertOpened):
            kind = event.alert.key.condition.value
            found.append((kind, told(event.alert.opened_at), ""))
        elif isinstance(event, AlertResolved):
            kind = event.key.condition.value
            place = next(n for n, one in enumerate(found) if one[::2] == (kind, ""))
            found[place] = (kind, found[place][1], told(event.at))
    return found


def shown(night: Night) -> list[str]:
    """Return the conditions that are to be seen."""
    keys = {alert.key for alert in night.state.alerts}
    keys |= {alert.key for alert in night.state.healed}
    return sorted({key.condition.value for key in keys})


def test_a_failure_that_was_healed_days_ago_is_recorded_and_not_shown() -> None:
    night = Night(WATCHED)
    load(night, "22 12:00", "10 02:00", outcome=Outcome.FAIL)
    load(night, "22 12:00", "11 02:00")

    assert records(night)[0] == ("failing", "10 02:00:00", "11 02:00:00")
    assert "failing" not in shown(night)


@pytest.mark.parametrize(
    ("healed", "seen"),
    [("22 11:58:59", False), ("22 11:59:00", False), ("22 11:59:01", True)],
)
def test_what_was_over_less_than_min_visible_ago_is_shown(
    healed: str, seen: bool
) -> None:
    night = Night(replace(BACKUP, schedule=None))
    load(night, "22 12:00", "22 11:50", outcome=Outcome.FAIL)
    load(night, "22 12:00", healed)

    assert shown(night) == ["failing"] * seen


def test_what_was_shown_while_it_held_is_still_shown() -> None:
    """A run that failed is reported at once, its successor late."""
    night = Night(replace(BACKUP, schedule=None))
    night.fail("22 11:59:50")
    load(night, "22 12:00", "22 11:59:55")

    assert shown(night) == ["failing"]
    assert records(night) == [("failing", "22 11:59:50", "22 11:59:55")]


def test_a_failure_that_is_the_last_word_is_shown() -> None:
    night = Night(replace(BACKUP, schedule=None))
    load(night, "22 12:00", "10 02:00")
    load(night, "22 12:00", "11 02:00", outcome=Outcome.FAIL)

    assert shown(night) == ["failing"]
    assert records(night) == [("failing", "11 02:00:00", "")]


WEEKS: list[dict[str, Any]] = [
    {"ended": "01 02:10", "duration": 60.0},
    {"ended": "02 02:10", "duration": 60.0},
    {"ended": "03 02:10", "duration": 600.0},
    {"ended": "04 02:10", "duration": 60.0, "outcome": Outcome.FAIL},
    {"ended": "05 02:10", "duration": 60.0, "metrics": {**GOOD, "rows": 0.0}},
    {"ended": "06 02:10", "duration": 60.0, "outcome": Outcome.TIMEOUT},
    *({"ended": f"{day:02} 02:10", "duration": 60.0} for day in range(7, 21)),
    *({"ended": "20 03:10", "duration": 60.0} for _ in range(40)),
]


@pytest.mark.parametrize("order", [1, -1])
def test_weeks_that_ended_well_alert_nobody(order: int) -> None:
    """Whichever end they are reported from; ids make the last forty different runs."""
    night = Night(WATCHED)
    for number, run in list(enumerate(WEEKS))[::order]:
        load(night, "22 12:00", run_id=f"run-{number}", **run)

    assert shown(night) == []
    assert night.state.runs_total == len(WEEKS)
    assert night.state.last_finish_at == at("20 03:10")
    assert night.state.consecutive_failures == 0
    assert all(ended for _, _, ended in records(night))
    ratio = night.state.success_ratio
    assert ratio is not None
    assert (ratio.ok, ratio.runs) == (len(WEEKS) - 3, len(WEEKS))


def test_the_state_is_what_live_reports_would_have_led_to() -> None:
    """Oldest first, except when the job was heard of and what is shown or has just ended."""
    live, late = Night(WATCHED, known="01 00:00"), Night(WATCHED, known="01 00:00")
    for number, run in enumerate(WEEKS):
        live.ping(run["ended"], run_id=str(number), **_but_for(run, "ended"))
        load(late, "22 12:00", run_id=str(number), **run)
    live.clock("22 12:00")

    apart = {"last_ping_at": 0.0, "healed": (), "ended_alerts": ()}
    assert replace(late.state, **apart) == replace(live.state, **apart)
    assert records(late) == records(live)


def test_runs_that_overlapped_then_do_not_overlap_now() -> None:
    night = Night(Job(name="backup", concurrency=Concurrency(max=1)))
    for began, run_id in (("10 02:00", "a"), ("10 02:05", "b")):
        night.ping("22 12:00", Kind.START, started_at=at(began), run_id=run_id)
    for ended, run_id in (("10 02:10", "a"), ("10 02:15", "b")):
        load(night, "22 12:00", ended, run_id=run_id)

    assert (records(night), shown(night)) == ([], [])


def test_a_run_that_took_too_long_then_is_not_shown_now() -> None:
    night = Night(replace(BACKUP, schedule=None, max_runtime=3600.0))
    night.ping("22 12:00", Kind.START, started_at=at("10 02:00"), run_id="a")
    load(night, "22 12:00", "10 04:00", run_id="a")

    assert (records(night), shown(night)) == ([], [])


def _but_for(run: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key != name}


@pytest.mark.parametrize("held", [True, False])
def test_runs_that_end_at_one_moment_are_one_alert(held: bool) -> None:
    """A batch without times: the last one that arrives decides whether it goes on."""
    night = Night(replace(BACKUP, schedule=None, recover_after=1))
    night.fail("22 11:00")
    for outcome in (Outcome.OK, Outcome.FAIL, Outcome.OK, Outcome.FAIL):
        night.ping("22 12:00", outcome=outcome, fingerprint=outcome.encode())
    if not held:
        night.ping("22 12:00", fingerprint=b"last")

    events = [event for event in night.alerts if isinstance(event, AlertOpened)]
    assert {told(event.alert.opened_at) for event in events} == {"22 11:00:00"}
    assert night.open == ["failing"] * held
    night.ping("22 12:01").fail("22 12:02")
    assert told(night.state.alerts[0].opened_at) == "22 12:02:00"
    assert night.state.ended_alerts == ()
