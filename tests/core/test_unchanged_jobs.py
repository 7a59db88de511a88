"""A start or a reload that has nothing to do for a job, whatever it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.model import Concurrency, Dependency, Job, Kind, Outcome
from afterrun_exporter.core.receiver_checks import on_test
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.transitions import on_clock, on_retired
from afterrun_exporter.core.unchanged_jobs import quiet_until
from tests.copies import replace

from .jobs import BACKUP, SETTINGS, Night, at, told
from .test_unchanged_at_ping import JOBS

#: What a line in the file makes of a job.
DESCRIBED = (
    *JOBS,
    replace(BACKUP, enabled=False),
    replace(BACKUP, after_failures=3),
    replace(BACKUP, configured=False, rules=()),
    replace(BACKUP, grace=7200, max_runtime=60, concurrency=Concurrency(max=1)),
    replace(BACKUP, depends_on=(Dependency("ingest"),)),
    replace(BACKUP, schedule=None, after_failures=2),
    replace(BACKUP, schedule=None, enabled=False),
)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens, so many seconds after the last."""

    later: int
    kind: Kind | None
    outcome: Outcome
    metrics: dict[str, float]


ACTS = st.lists(
    st.builds(
        Act,
        later=st.integers(-4000, 4000) | st.integers(0, 90),
        kind=st.none() | st.sampled_from([Kind.START, Kind.FINISH]),
        outcome=st.sampled_from([Outcome.OK, Outcome.OK, Outcome.FAIL]),
        metrics=st.sampled_from([{"rows": 120.0, "size": 48211.0}, {"rows": 0.0}]),
    ),
    max_size=6,
)


@given(
    before=st.sampled_from(DESCRIBED),
    after=st.sampled_from(DESCRIBED),
    acts=ACTS,
    later=st.integers(-4000, 90_000) | st.integers(0, 90),
    settled=st.integers(-120, 120),
)
def test_what_is_left_alone_would_not_have_changed(
    before: Job, after: Job, acts: list[Act], later: int, settled: int
) -> None:
    """However the job is described anew, and whatever has happened to it before."""
    night = Night(before).clock("21 12:00")
    now = at("22 01:50")
    for act in acts:
        now += act.later
        if act.kind is None:
            night.clock(told(now))
        else:
            metrics = act.metrics if act.kind is Kind.FINISH else {}
            night.ping(told(now), act.kind, outcome=act.outcome, metrics=metrics)
    now += later
    settings = replace(SETTINGS, up_since=now, settled_at=now + settled)
    until = quiet_until(after, night.state, now, settings)
    if until is None:
        return

    noticed = on_clock(after, night.state, now, settings)
    assert noticed.state is night.state
    assert noticed.alerts == ()
    assert until == wake_at(after, night.state, settings)


GOOD_NIGHT = Night().ping("21 13:00")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"severity": "critical"},
        {"rules": ()},
        {"grace": 60},
        {"max_runtime": 60},
    ],
)
def test_a_job_that_is_fine_is_left_alone(change: dict[str, Any]) -> None:
    job = replace(BACKUP, **change)

    until = quiet_until(job, GOOD_NIGHT.state, at("21 14:00"), SETTINGS)

    assert until == at("22 02:00") + job.grace


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": parse_cron("0 3 * * *", "UTC")},
        {"schedule": None},
        {"enabled": False},
        {"configured": False},
        {"depends_on": (Dependency("ingest"),)},
    ],
)
def test_a_job_that_becomes_another_is_looked_at(change: dict[str, Any]) -> None:
    job = replace(BACKUP, **change)

    assert quiet_until(job, GOOD_NIGHT.state, at("21 14:00"), SETTINGS) is None


@pytest.mark.parametrize(
    "night",
    [
        Night().fail("21 13:00"),
        Night(replace(BACKUP, after_failures=3)).fail("21 13:00"),
        Night().ping("21 13:00", metrics={"rows": 0.0}),
        Night().start("21 13:00"),
        Night().clock("22 02:31"),
    ],
    ids=["failed", "failed once of three", "violated", "running", "missed"],
)
def test_a_job_that_something_is_the_matter_with_is_looked_at(night: Night) -> None:
    assert quiet_until(night.job, night.state, at("22 02:32"), SETTINGS) is None


def test_a_job_that_has_left_or_is_tried_out_is_looked_at() -> None:
    state, now = GOOD_NIGHT.state, at("21 14:00")
    tried = on_test(BACKUP, state, now, 60.0, "", SETTINGS).state

    assert quiet_until(BACKUP, on_retired(state, now).state, now, SETTINGS) is None
    assert quiet_until(BACKUP, tried, now, SETTINGS) is None


def test_a_rule_that_was_broken_is_looked_at_where_it_comes_back() -> None:
    """Its alert is over while it is in no file."""
    night = Night(replace(BACKUP, rules=(parse_rule("rows > 200"),))).ping("21 13:00")
    night.job = replace(BACKUP, rules=())
    night.clock("21 13:30")

    assert quiet_until(BACKUP, night.state, at("21 14:00"), SETTINGS) is None
