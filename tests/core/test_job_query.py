"""Jobs are selected by what they are, and by the states that they are in."""

from __future__ import annotations

import re
from typing import Any

import pytest

from afterrun_exporter.core.job_query import LONGEST, JobQuery, parse_query, states_of
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.receiver_checks import on_test
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.state import JobState, UnobservedSlots
from tests.copies import replace
from tests.core.jobs import BACKUP, SETTINGS, Night, at

LIMITED = Job(name="backup", max_runtime=60.0, schedule=parse_cron("0 2 * * *", "UTC"))


def test_a_query_is_without_what_is_empty() -> None:
    query = parse_query(q="  load ", label=["team=data", ""], tag=["", "db"])

    assert query == JobQuery(q="load", label=("team=data",), tag=("db",))


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"state": "brken"}, "unknown state 'brken'; did you mean 'broken'?"),
        ({"q": "x" * (LONGEST + 1)}, f"use at most {LONGEST}"),
        ({"label": ["team"]}, "'team' is not a label: write it like team=data"),
    ],
)
def test_a_query_that_cannot_be_read_says_why(
    parameters: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_query(**parameters)


def states(night: Night) -> tuple[str, ...]:
    return states_of(night.job, night.state)


def test_a_job_is_in_its_status_and_may_be_broken() -> None:
    night = Night(LIMITED)
    assert states(night) == ("new",)

    night.start("21 12:00", run_id="a")
    assert states(night) == ("running",)

    night.clock("22 02:10")
    assert states(night) == ("missed", "broken")


def test_a_job_may_be_unobserved() -> None:
    slots = UnobservedSlots(count=1, first=1.0, last=1.0, down_since=0.0, up_since=2.0)
    night = Night(BACKUP).ping("22 02:00")
    night.state = replace(night.state, unobserved=slots)

    assert states(night) == ("ok", "unobserved")


def test_a_test_alert_makes_no_job_broken() -> None:
    def tested(job: Job, state: JobState) -> JobState:
        return on_test(job, state, at("22 02:01"), 60.0, "", SETTINGS).state

    night = Night(BACKUP).ping("22 02:00")
    night.state = tested(BACKUP, night.state)
    assert states(night) == ("ok",)

    night.job = replace(BACKUP, enabled=False)
    night.state = tested(night.job, night.state)
    assert states(night) == ("paused",)


@pytest.mark.parametrize(
    ("words", "matches"),
    [
        ("BACK", True),
        ("nightly dump", True),
        ("dump back", True),
        ("dump other", False),
    ],
)
def test_words_are_searched_in_the_name_and_in_what_describes_a_job(
    words: str, matches: bool
) -> None:
    job = Job(name="backup", display_name="Nightly", description="Dump of the database")
    predicate = JobQuery(q=words).predicate

    assert predicate is not None
    assert predicate(job, ()) is matches


def test_a_query_without_filters_matches_every_job() -> None:
    assert JobQuery().predicate is None
