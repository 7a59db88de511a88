"""Reports that are sent twice: counted, never alerted, never counted again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Kind, Outcome, Settings
from afterrun_exporter.core.repeats import (
    REMEMBERED,
    UNNAMED,
    finished_as,
    remember_run,
)
from tests.changed import replace
from tests.core.jobs import BACKUP, Night, at


class TestWithARunId:
    def test_the_first_finish_wins(self) -> None:
        night = Night().ping("22 02:10", run_id="a").fail("22 02:11", run_id="a")

        assert night.last.duplicate
        assert night.last.duplicate_of == 1
        assert night.outcomes == ["ok"]
        assert night.open == []
        assert night.state.duplicates_total == 1

    def test_a_retry_storm_is_one_alert(self) -> None:
        night = Night()
        for second in range(10):
            night.fail(f"22 02:10:{second:02}", run_id="a")

        assert len(night.alerts) == 1
        assert night.state.runs_total == 1
        assert night.state.duplicates_total == 9

    def test_another_attempt_is_another_report(self) -> None:
        night = (
            Night().fail("22 02:10", run_id="a").ping("22 02:12", run_id="a", attempt=2)
        )

        assert night.outcomes == ["fail", "ok"]

    def test_a_second_start_opens_no_second_run(self) -> None:
        night = Night().start("22 02:00", run_id="a").start("22 02:01", run_id="a")

        assert night.last.duplicate
        assert len(night.state.open_runs) == 1

    def test_a_start_after_its_finish_does_not_open_the_run_again(self) -> None:
        night = Night().ping("22 02:10", run_id="a").start("22 02:11", run_id="a")

        assert night.last.duplicate
        assert night.state.open_runs == ()

    def test_a_repeat_keeps_the_duration(self) -> None:
        night = Night().start("22 02:00", run_id="a").ping("22 02:10", run_id="a")
        night.ping("22 02:20", run_id="a")

        assert night.state.last_duration == 600

    def test_the_repeat_of_an_older_run_is_recognised(self) -> None:
        night = Night()
        for number in range(REMEMBERED):
            night.ping("22 02:10", run_id=str(number))

        night.ping("22 02:20", run_id="0")
        assert night.last.duplicate_of == 1

        night.ping("22 02:21", run_id="new").ping("22 02:22", run_id="0")
        assert not night.last.duplicate

    def test_progress_may_be_said_again_and_again(self) -> None:
        night = Night().start("22 02:00", run_id="a")
        for second in ("01", "02"):
            night.ping(f"22 02:00:{second}", Kind.PROGRESS, run_id="a")

        assert night.state.duplicates_total == 0


class TestWithoutAnId:
    @pytest.mark.parametrize(
        ("second", "duplicate"),
        [("22 02:10:00", True), ("22 02:10:10", True), ("22 02:10:11", False)],
    )
    def test_the_same_words_soon_after_are_a_repeat(
        self, second: str, duplicate: bool
    ) -> None:
        night = Night().ping("22 02:10", fingerprint=b"same")
        night.ping(second, fingerprint=b"same")

        assert night.last.duplicate is duplicate
        assert night.state.runs_total == 2 - duplicate

    def test_other_words_are_another_run(self) -> None:
        night = Night().ping("22 02:10", fingerprint=b"a")
        night.ping("22 02:10:01", fingerprint=b"b").ping(
            "22 02:10:02", fingerprint=b"a"
        )

        assert night.state.runs_total == 2
        assert night.last.duplicate_of == 1

    def test_a_job_that_says_the_same_each_ten_seconds_is_not_swallowed(self) -> None:
        """The window is from the report that counted, not from its repeats."""
        night = Night()
        for second in range(0, 60, 6):
            night.ping(f"22 02:10:{second:02}", fingerprint=b"same")

        assert night.state.runs_total == 5

    def test_a_repeated_start_opens_no_second_run(self) -> None:
        night = Night().start("22 02:00", fingerprint=b"same")
        night.start("22 02:00:02", fingerprint=b"same")

        assert night.last.duplicate
        assert night.logs == []

    def test_a_start_repeated_after_its_finish_opens_no_run(self) -> None:
        night = Night().start("22 02:00:00", fingerprint=b"start")
        night.ping("22 02:00:03", fingerprint=b"finish")
        night.start("22 02:00:05", fingerprint=b"start")

        assert night.last.duplicate
        assert night.state.open_runs == ()

    def test_so_many_are_remembered_at_most(self) -> None:
        """A batch may hold thousands, all of the same moment."""
        night = Night()
        for number in range(1000):
            night.ping("22 02:10", fingerprint=b"%d" % number)

        assert len(night.state.unnamed) == UNNAMED

    def test_the_window_can_be_chosen(self) -> None:
        night = Night(settings=Settings(dedup_window=0.0))
        night.ping("22 02:10", fingerprint=b"same")

        assert not night.ping("22 02:10:01", fingerprint=b"same").last.duplicate


run_ids = st.lists(st.text(max_size=3), max_size=80)


@given(run_ids)
def test_among_the_last_runs_each_is_found_under_its_number(ids: list[str]) -> None:
    seen = b""
    for run_id in ids:
        seen = remember_run(seen, run_id, 1)
    state = replace(Night().state, seen=seen, runs_total=len(ids))

    for back, run_id in enumerate(reversed(ids[-REMEMBERED:])):
        number = finished_as(state, run_id, 1)
        assert number >= len(ids) - back
        assert ids[number - 1] == run_id


reports = st.lists(
    st.fixed_dictionaries(
        {
            "when": st.sampled_from([f"22 02:{minute:02}" for minute in range(60)]),
            "kind": st.sampled_from([Kind.START, Kind.FINISH]),
            "run_id": st.sampled_from(["a", "b", "c"]),
            "outcome": st.sampled_from([Outcome.OK, Outcome.FAIL, Outcome.CANCELED]),
            "metrics": st.sampled_from([{}, {"rows": 1.0, "size": 9999.0}]),
        }
    ),
    max_size=20,
)


@given(reports)
def test_saying_everything_twice_changes_nothing_but_the_count_of_repeats(
    reports: list[dict[str, Any]],
) -> None:
    once, twice = Night(BACKUP), Night(BACKUP)
    reports.sort(key=lambda report: at(report["when"]))
    for report in reports:
        once.ping(**report)
        twice.ping(**report).ping(**report)

    assert twice.outcomes == once.outcomes
    assert twice.alerts == once.alerts
    assert replace(twice.state, duplicates_total=0) == replace(
        once.state, duplicates_total=0
    )
