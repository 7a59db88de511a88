"""Runs of one job at the same time."""

from __future__ import annotations

import json

import pytest

from afterrun_exporter.core.model import Concurrency, Job, Kind
from tests.changed import replace

from .jobs import Night

ALONE = Job(name="backup", concurrency=Concurrency(max=1))
PER_TENANT = Job(name="backup", concurrency=Concurrency(max=1, by="tenant_id"))


def test_one_run_more_than_may_be_is_a_condition_until_one_ends() -> None:
    night = Night(ALONE)

    assert night.start("22 02:00", run_id="a").open == []
    assert night.start("22 03:00", run_id="b").open == ["overlapping"]
    assert night.ping("22 03:10", run_id="a").open == []


def test_as_many_as_may_be_are_no_condition() -> None:
    night = Night(replace(ALONE, concurrency=Concurrency(max=2)))

    assert night.start("22 02:00", run_id="a").start("22 02:01", run_id="b").open == []
    assert night.start("22 02:02", run_id="c").open == ["overlapping"]
    (opened,) = night.alerts
    assert opened.summary == "3 runs are open at once, 2 may be"


@pytest.mark.parametrize(
    ("first", "second", "overlapping"),
    [
        ({"tenant_id": "acme"}, {"tenant_id": "acme"}, True),
        ({"tenant_id": "acme"}, {"tenant_id": "other"}, False),
        ({"tenant_id": 7}, {"tenant_id": 7}, True),
        ({"tenant_id": 7}, {"tenant_id": 8}, False),
        ({"tenant_id": None}, {}, True),
        ({}, {}, True),
        ({"tenant_id": "acme"}, {}, False),
        ({"tenant_id": {"a": 1, "b": 2}}, {"tenant_id": {"b": 2, "a": 1}}, True),
    ],
)
def test_runs_are_told_apart_by_a_field_of_their_metadata(
    first: dict[str, object], second: dict[str, object], overlapping: bool
) -> None:
    """Each value may run as often; those without one are a value of their own."""
    night = Night(PER_TENANT)

    night.start("22 02:00", run_id="a", metadata=json.dumps(first))
    night.start("22 02:01", run_id="b", metadata=json.dumps(second))

    assert night.open == (["overlapping"] if overlapping else [])


def test_the_words_name_the_value() -> None:
    night = Night(PER_TENANT)
    for run_id in "ab":
        night.start("22 02:00", run_id=run_id, metadata='{"tenant_id":"acme"}')

    (opened,) = night.alerts
    assert opened.summary == "2 runs with tenant_id 'acme' are open at once, 1 may be"


def test_the_words_say_where_there_is_no_value() -> None:
    night = (
        Night(PER_TENANT).start("22 02:00", run_id="a").start("22 02:00", run_id="b")
    )

    (opened,) = night.alerts
    assert opened.summary == "2 runs without tenant_id are open at once, 1 may be"


def test_half_a_character_is_replaced() -> None:
    """JSON can hold one; the database cannot, and would refuse the whole report."""
    night = Night(PER_TENANT)
    for run_id, value in (("a", r"\ud800"), ("b", r"\udfff")):
        night.start("22 02:00", run_id=run_id, metadata=f'{{"tenant_id":"{value}"}}')

    assert [run.group for run in night.state.open_runs] == ["?", "?"]


def test_starts_without_an_id_overlap_too() -> None:
    """Where nobody asked for it the new one counts, as ever."""
    assert Night(ALONE).start("22 02:00").start("22 03:00").open == ["overlapping"]
    plain = Night(Job(name="backup"))
    assert plain.start("22 02:00").start("22 03:00").open == []


def test_a_run_that_crashed_without_an_id_does_not_overlap_for_ever() -> None:
    """The end of a later one is the end of it."""
    night = Night(ALONE).start("22 02:00").start("23 02:00")
    assert night.open == ["overlapping"]

    night.ping("23 02:10")

    assert (night.open, night.state.open_runs) == ([], ())
    assert night.logs[-1].message == (
        "the run started at 2026-11-22T02:00:00Z never reported its end"
    )
    assert night.start("24 02:00").open == []


def test_an_attempt_replaces_the_one_before() -> None:
    """A retry is the same run."""
    night = Night(ALONE).start("22 02:00", run_id="a")

    assert night.start("22 02:10", run_id="a", attempt=2).open == []


def test_progress_does_not_count_as_another_run() -> None:
    night = Night(ALONE).start("22 02:00", run_id="a")

    assert night.ping("22 02:10", Kind.PROGRESS, run_id="a").open == []
