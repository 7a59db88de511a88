"""A ping that nothing came before: what time has done need not be asked again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import is_unchanged, wake_at
from afterrun_exporter.core.model import Concurrency, Job, Kind, Outcome, SuccessRatio
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.transitions import on_clock, on_ping
from tests.copies import replace

from .jobs import BACKUP, SETTINGS, Night, at, ping, told

JOBS = (
    BACKUP,
    replace(BACKUP, schedule=Every(600), grace=60, max_runtime=120),
    replace(BACKUP, schedule=parse_cron("*/5 * * * *", "Europe/Riga"), grace=30),
    replace(BACKUP, schedule=None, rules=(parse_rule("rows > 100"),)),
    replace(
        BACKUP,
        schedule=None,
        success_ratio=SuccessRatio(below=0.9, over=900, min_runs=1),
        concurrency=Concurrency(max=1),
        max_runtime=300,
    ),
)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens, so many seconds after the last."""

    later: int
    kind: Kind | None
    outcome: Outcome = Outcome.OK


ACTS = st.lists(
    st.builds(
        Act,
        later=st.integers(-4000, 4000) | st.integers(0, 90),
        kind=st.none() | st.sampled_from([Kind.START, Kind.FINISH]),
        outcome=st.sampled_from([Outcome.OK, Outcome.FAIL]),
    ),
    max_size=8,
)


LATER = st.integers(-4000, 4000) | st.integers(0, 90)


def after(job: Job, acts: list[Act]) -> tuple[Night, float]:
    """Return a night in which *acts* happened, and when it was then."""
    night = Night(job).clock("21 12:00")
    now = at("22 01:50")
    for act in acts:
        now += act.later
        if act.kind is None:
            night.clock(told(now))
        else:
            night.ping(told(now), act.kind, outcome=act.outcome)
    return night, now


@given(job=st.sampled_from(JOBS), acts=ACTS, later=LATER)
def test_where_it_is_quiet_time_has_done_nothing(
    job: Job, acts: list[Act], later: int
) -> None:
    """Whatever has happened before, and even if the clock was set back."""
    night, now = after(job, acts)
    now += later
    # What is planned is what was right when the job was last looked at.
    if not is_unchanged(job, night.state, now, wake_at(job, night.state, SETTINGS)):
        return

    noticed = on_clock(job, night.state, now, SETTINGS)
    assert (noticed.state, noticed.alerts) == (night.state, ())
    report = ping(told(now))
    assert on_ping(job, night.state, report, SETTINGS, quiet=True) == on_ping(
        job, night.state, report, SETTINGS
    )


@given(job=st.sampled_from(JOBS), acts=ACTS, later=LATER)
def test_a_calm_state_has_nothing_to_alert_of(
    job: Job, acts: list[Act], later: int
) -> None:
    """Not whatever the time is: what a deadline has done is a fact by then."""
    night, now = after(job, acts)
    if not alerts.is_steady(night.state):
        return

    # A test alert that is long over is looked at, and changes nothing.
    looked_at = replace(night.state, test_until=1.0)
    assert alerts.update(job, looked_at, now + later, SETTINGS) == (looked_at, ())


@pytest.mark.parametrize(
    ("when", "quiet"),
    [
        ("22 02:29:59", True),
        ("22 02:30", False),
        ("22 01:00", True),
        ("21 12:59", False),
    ],
)
def test_it_is_quiet_until_the_next_deadline(when: str, quiet: bool) -> None:
    """And as long as the clock does not go back."""
    night = Night().ping("21 13:00")
    wake = wake_at(night.job, night.state, SETTINGS)

    assert is_unchanged(night.job, night.state, at(when), wake) is quiet
