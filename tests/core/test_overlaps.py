"""Runs of one job at the same time."""

from __future__ import annotations

import json
import math
from itertools import zip_longest

import pytest

from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.model import Concurrency, Condition, Job, Kind
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.state import AlertOpened, AlertResolved
from tests.copies import replace

from .jobs import SETTINGS, Night, at, told

ALONE = Job(name="backup", concurrency=Concurrency(max=1))
DAILY = replace(ALONE, schedule=parse_cron("0 2 * * *", "UTC"), grace=3600.0)
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


def alerts_of(night: Night) -> list[tuple[str, str]]:
    """Return when each alert on overlapping runs began and ended."""
    events = [e for e in night.alerts if e.key.condition is Condition.OVERLAPPING]
    began = [told(e.alert.opened_at) for e in events if isinstance(e, AlertOpened)]
    ended = [told(e.at) for e in events if isinstance(e, AlertResolved)]
    return [*zip_longest(began, ended, fillvalue="")]


@pytest.mark.parametrize("maximum", [1, 2])
def test_a_run_that_died_is_one_alert_until_it_is_given_up(maximum: int) -> None:
    """However many runs come and go meanwhile: after five periods it is no run any more."""
    night = Night(replace(DAILY, concurrency=Concurrency(max=maximum)))
    for number in range(maximum):
        night.start(f"22 02:0{number}", run_id=f"dead {number}")
    for day in range(23, 30):
        night.clock(f"{day} 02:10")
        night.start(f"{day} 02:15", run_id=f"{day}").ping(
            f"{day} 02:16", run_id=f"{day}"
        )

    assert alerts_of(night) == [("23 02:15:00", "27 02:15:00")]
    assert night.state.open_runs == ()
    assert night.logs[0].message == (
        "the run started at 2026-11-22T02:00:00Z never reported its end"
    )


def test_what_overlaps_goes_on_until_the_runs_that_were_open_before_have_ended() -> (
    None
):
    night = Night(ALONE).start("22 02:00", run_id="a").start("22 02:10", run_id="b")
    night.ping("22 02:20", run_id="b")

    assert night.open == ["overlapping"]
    assert night.start("22 02:30", run_id="c").open == ["overlapping"]
    assert night.ping("22 02:40", run_id="a").open == []
    assert night.ping("22 02:50", run_id="c").open == []
    assert alerts_of(night) == [("22 02:10:00", "22 02:40:00")]


def test_more_runs_that_may_be_open_by_the_configuration_end_it() -> None:
    night = Night(ALONE).start("22 02:00", run_id="a").start("22 02:10", run_id="b")
    night.ping("22 02:20", run_id="b")

    night.job = replace(ALONE, concurrency=Concurrency(max=2))

    assert night.clock("22 02:21").open == []


@pytest.mark.parametrize(
    ("job", "given_up"),
    [
        # Five periods after its start, and five times what a run usually takes.
        (DAILY, "27 02:00"),
        (replace(DAILY, schedule=Every(3600.0)), "22 07:00"),
        # A day where nothing is known of periods.
        (ALONE, "23 02:00"),
        # Its limit is another alert.
        (replace(ALONE, max_runtime=3600.0), None),
    ],
)
def test_a_run_is_given_up_as_another_one_begins_late_enough(
    job: Job, given_up: str | None
) -> None:
    def left(when: float) -> int:
        night = Night(job).start("22 02:00", run_id="dead")
        night.clock(told(when)).start(told(when), run_id="other")
        return sum(run.run_id == "dead" for run in night.state.open_runs)

    if given_up is None:
        assert left(at("22 03:00")) == 1
        assert left(at("29 03:00")) == 0
        return
    assert left(at(given_up)) == 1
    assert left(at(given_up) + 1) == 0


def test_a_run_as_long_as_the_last_one_is_not_given_up() -> None:
    night = Night(replace(DAILY, schedule=Every(3600.0)))
    night.ping("22 02:00", duration=7200.0).start("22 02:00", run_id="long")

    night.start("22 12:00", run_id="a")
    assert [run.run_id for run in night.state.open_runs] == ["long", "a"]
    night.start("22 12:00:01", run_id="b")
    assert [run.run_id for run in night.state.open_runs] == ["a", "b"]


def test_late_reports_of_a_start_and_an_end_are_no_overlap() -> None:
    """A spool that is delivered while another run is under way."""
    night = Night(ALONE).start("22 02:00", run_id="now")
    for number in range(3):
        began, name = at(f"21 2{number}:00"), str(number)
        night.start(f"22 02:00:0{number + 1}", run_id=name, started_at=began)
        night.ping(f"22 02:00:0{number + 1}", run_id=name, ended_at=began + 60)

    assert alerts_of(night) == []


def test_a_start_that_is_reported_late_overlaps_if_no_end_follows() -> None:
    night = Night(ALONE).start("22 02:00", run_id="now")
    night.start("22 02:10", run_id="late", started_at=at("22 01:30"))

    assert told(wake_at(night.job, night.state, SETTINGS)) == "22 02:10:30"
    assert night.clock("22 02:10:30").open == []
    assert night.clock("22 02:10:31").open == ["overlapping"]
    assert wake_at(night.job, night.state, SETTINGS) == math.inf
    assert night.ping("22 02:11", run_id="late").open == []


def test_an_end_without_an_id_ends_no_run_that_is_alone_by_giving_up_another() -> None:
    """Nobody can tell which of the two it was about."""
    night = (
        Night(DAILY).start("22 02:00", run_id="dead").start("26 02:00", run_id="now")
    )

    night.ping("28 02:10")

    assert [run.run_id for run in night.state.open_runs] == ["dead", "now"]
    assert night.ping("28 02:11", run_id="now").state.open_runs == ()


def test_overlaps_of_a_job_that_allows_any_number_are_not_counted() -> None:
    night = Night(Job(name="backup"))
    night.start("22 02:00", run_id="a").start("22 02:01", run_id="b")

    assert [run.among for run in night.state.open_runs] == [0, 0]
