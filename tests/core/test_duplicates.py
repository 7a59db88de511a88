"""Reports that are sent twice: counted, never alerted, never counted again."""

from __future__ import annotations

from hashlib import blake2b
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.duplicates import (
    KEY_SIZE,
    REMEMBERED,
    UNNAMED,
    OlderRunsNeededError,
    digest,
    finished_as,
    remember_unnamed,
    run_key,
    shortened,
    with_key,
    with_keys_of,
    with_older_keys,
)
from afterrun_exporter.core.model import Kind, Outcome, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.ingest.batches import MAX_ITEMS
from tests.copies import replace
from tests.core.jobs import BACKUP, GOOD, SETTINGS, Night, at, ping


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
        """As long as the run is kept, not only among the last few."""
        night = Night(settings=Settings(runs_per_job=300))
        for number in range(300):
            night.ping("22 02:10", run_id=str(number))

        night.ping("22 02:20", run_id="0")
        assert night.last.duplicate_of == 1

        night.ping("22 02:21", run_id="new").ping("22 02:22", run_id="0")
        assert not night.last.duplicate

    def test_runs_without_an_id_take_no_memory(self) -> None:
        night = Night()
        for number in range(500):
            night.ping("22 02:10", fingerprint=b"%d" % number)

        assert len(night.state.run_keys) == REMEMBERED * KEY_SIZE

    def test_where_older_runs_are_not_known_they_are_asked_for(self) -> None:
        """A new run cannot be told from a repeat of one of them."""
        night = Night()
        for number in range(40):
            night.ping("22 02:10", run_id=str(number))
        whole = night.state
        last = replace(whole, run_keys=whole.run_keys[-REMEMBERED * KEY_SIZE :])

        for state in (last, replace(last, run_keys=b"")):
            night.state = state
            with pytest.raises(OlderRunsNeededError):
                night.ping("22 02:20", run_id="new")

        night.state = last
        assert night.ping("22 02:20", run_id="39").last.duplicate_of == 40
        night.state = with_older_keys(last, whole.run_keys[: 32 * KEY_SIZE], 32)
        assert night.state == replace(whole, run_keys_whole=True)
        assert night.ping("22 02:20", run_id="3").last.duplicate_of == 4

    def test_a_start_of_a_run_that_was_given_up_does_not_open_it_again(self) -> None:
        """Its end still counts, whenever it comes."""
        night = Night(replace(BACKUP, max_runtime=600.0))
        night.start("22 02:00", run_id="a").start("22 03:00", run_id="b")
        assert night.outcomes == ["timeout"]

        night.start("22 03:01", run_id="a")
        assert night.last.duplicate_of == 1
        assert [run.run_id for run in night.state.open_runs] == ["b"]

        assert not night.ping("22 03:02", run_id="a").last.duplicate
        assert night.ping("22 03:03", run_id="a").last.duplicate_of == 2
        assert night.start("22 03:04", run_id="a").last.duplicate_of == 2

    @pytest.mark.parametrize("finished", [False, True])
    def test_a_start_of_an_attempt_that_another_followed_opens_nothing(
        self, finished: bool
    ) -> None:
        night = Night().start("22 02:00", run_id="a")
        night.start("22 02:05", run_id="a", attempt=2)
        if finished:
            night.ping("22 02:10", run_id="a", attempt=2)
        before = night.state.open_runs

        night.start("22 02:11", run_id="a")

        assert night.last.duplicate
        assert night.state.open_runs == before

    def test_progress_of_a_run_that_has_finished_is_no_news(self) -> None:
        """Sent again in one batch with its end, it would stand in the gauges for ever."""
        night = Night().start("22 02:00", run_id="a")
        night.ping("22 02:05", Kind.PROGRESS, run_id="a", metrics={"rows": 3.0})
        night.ping("22 02:10", run_id="a").start("22 02:15")
        night.ping("22 02:20", Kind.PROGRESS, run_id="a", metrics={"rows": 3.0})

        assert night.last.duplicate_of == 1
        assert night.state.metrics["rows"] == GOOD["rows"]
        assert night.state.open_runs[0].metrics == {}

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
        night.ping("22 02:10:01", fingerprint=b"b")
        night.ping("22 02:10:02", fingerprint=b"b")

        assert night.state.runs_total == 2
        assert night.last.duplicate_of == 2

    @pytest.mark.parametrize("step", [0, 1])
    @pytest.mark.parametrize(
        ("reports", "taken"),
        [
            ("fof", "fof"),
            ("ffoofoof", "fofof"),
            ("sosof", "sosof"),
            ("ssfssf", "sfsf"),
            # A repeat is nothing else that was reported.
            ("foofof", "fofof"),
            # A run with an id, progress and a log entry are.
            ("fnf", "fnf"),
            ("fpf", "fpf"),
            ("flf", "flf"),
            ("fnnppllnf", "fnppllf"),
            ("nfnf", "nf"),
        ],
    )
    def test_the_same_words_are_no_repeat_after_others(
        self, reports: str, taken: str, step: int
    ) -> None:
        """Fail, ok, fail are three runs, also in one batch."""
        kinds = {"s": Kind.START, "p": Kind.PROGRESS, "l": Kind.LOG}
        night, counted = Night(), ""
        for place, letter in enumerate(reports):
            night.ping(
                f"22 02:10:0{place * step}",
                kinds.get(letter, Kind.FINISH),
                outcome=Outcome.FAIL if letter == "f" else Outcome.OK,
                run_id="n" if letter == "n" else None,
                fingerprint=letter.encode(),
            )
            counted += "" if night.last.duplicate else letter

        assert counted == taken

    def test_a_batch_that_is_sent_again_is_a_repeat_as_a_whole(self) -> None:
        """Also where it has the same words twice, and runs with ids among them."""
        night = Night()
        for when in ("22 02:10", "22 02:10:05"):
            for run_id, words in (
                (None, b"f"),
                ("n", b"n"),
                (None, b"o"),
                (None, b"f"),
            ):
                night.ping(when, run_id=run_id, fingerprint=words)

        assert night.state.runs_total == 4
        assert night.state.duplicates_total == 4
        night.ping("22 02:10:06", fingerprint=b"other")
        assert not night.ping("22 02:10:07", fingerprint=b"f").last.duplicate

    def test_what_is_noted_of_other_reports_does_not_grow(self) -> None:
        night = Night().ping("22 02:10", fingerprint=b"f")
        for number in range(100):
            night.ping("22 02:10:01", run_id=f"{number}")
            night.ping("22 02:10:02", Kind.PROGRESS)
        assert len(night.state.unnamed_seen) == 2 * 24

        night.ping("22 02:10:12", run_id="last")
        assert night.state.unnamed_seen == b""

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

    def test_the_same_start_after_a_finish_is_that_of_the_next_run(self) -> None:
        """A script sends a start again before it goes on, and not after the end."""
        night = Night().start("22 02:00:00", fingerprint=b"start")
        night.ping("22 02:00:03", fingerprint=b"finish")
        night.start("22 02:00:05", fingerprint=b"start")

        assert not night.last.duplicate
        assert len(night.state.open_runs) == 1
        night.ping("22 02:00:07", fingerprint=b"finish")
        assert night.state.runs_total == 2
        assert night.state.last_duration == 2

    def test_a_batch_of_thousands_is_recognised_when_it_is_sent_again(self) -> None:
        night = Night(replace(BACKUP, rules=()))
        for when in ("22 02:10:00", "22 02:10:09"):
            for number in range(2000):
                night.ping(when, fingerprint=b"%d" % number)

        assert night.state.runs_total == 2000
        assert night.state.duplicates_total == 2000
        assert night.last.duplicate_of == 2000

    def test_those_that_no_repeat_can_follow_are_forgotten(self) -> None:
        night = Night()
        for number in range(100):
            night.ping("22 02:10", fingerprint=b"%d" % number)
        long = len(night.state.unnamed_seen)
        night.ping("22 02:10:11", fingerprint=b"new")

        assert len(night.state.unnamed_seen) == long // 100

    def test_no_more_are_remembered_than_a_batch_can_hold(self) -> None:
        state, seen = Night().state, set()
        for number in range(UNNAMED + 10):
            report = ping("22 02:10", fingerprint=b"%d" % number)
            known = remember_unnamed(state, report, Settings(), number)
            state = replace(state, unnamed_seen=known)
            seen.add(len(known))

        assert max(seen) == len(known) == UNNAMED * min(seen)
        assert UNNAMED >= MAX_ITEMS

    def test_the_window_can_be_chosen(self) -> None:
        night = Night(settings=Settings(dedup_window=0.0))
        night.ping("22 02:10", fingerprint=b"same")

        assert not night.ping("22 02:10:01", fingerprint=b"same").last.duplicate


run_ids = st.lists(st.text(max_size=3), max_size=80)


@given(run_ids)
def test_among_the_last_runs_each_is_found_under_its_number(ids: list[str]) -> None:
    settings, seen = Settings(runs_per_job=REMEMBERED), b""
    for run_id in ids:
        seen = with_key(seen, run_key(run_id, 1), settings)
    state = replace(Night().state, run_keys=seen, runs_total=len(ids))

    for back, run_id in enumerate(reversed(ids[-REMEMBERED:])):
        number = finished_as(state, run_id, 1, settings)
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


class TestKeysOfOlderRuns:
    def partial(self) -> JobState:
        """Return the state of a job with 70 runs, which has the keys of the last ones."""
        night = Night(replace(BACKUP, schedule=None))
        for minute in range(70):
            night.ping(f"22 {minute // 60:02}:{minute % 60:02}", run_id=f"r{minute}")
        return shortened(night.state)

    def keys(self, last: int) -> bytes:
        return b"".join(run_key(f"r{n}", 1) for n in range(last))

    def test_are_not_added_to_a_state_that_has_all(self) -> None:
        whole = Night().ping("22 02:00", run_id="a").state

        assert with_older_keys(whole, self.keys(3), 3) is whole

    @pytest.mark.parametrize("through", [30, 70 - REMEMBERED, 45])
    def test_are_added_without_those_that_are_known_and_with_gaps(
        self, through: int
    ) -> None:
        state = self.partial()

        whole = with_older_keys(state, self.keys(through), through)

        assert len(whole.run_keys) == 70 * KEY_SIZE
        assert finished_as(whole, "r3", 1, SETTINGS) == 4
        assert finished_as(whole, "r69", 1, SETTINGS) == 70

    def test_are_none_where_no_run_had_one(self) -> None:
        state = self.partial()

        assert with_older_keys(state, b"", 0).run_keys == state.run_keys


def test_a_fingerprint_that_looks_like_a_time_is_no_repeat() -> None:
    """It is found within a stored ping, not at the beginning of one."""
    night = Night().ping("22 02:00")

    night.ping("22 02:00:05", fingerprint=pack("<d", at("22 02:00")))

    assert len(night.runs) == 2
    assert night.state.duplicates_total == 0


def test_a_digest_is_the_same_however_long_its_parts_are() -> None:
    """It is computed piece by piece."""
    long = b"x" * 5000

    assert digest(long, b"y") == blake2b(long + b"\0y", digest_size=8).digest()


def numbered(recorded: int, keys: int, *, lineage: str = "k") -> JobState:
    """Return a state that knows the keys of its last runs."""
    last = range(recorded - keys + 1, recorded + 1)
    run_keys = b"".join(f"{lineage}{number:07}".encode() for number in last)
    return JobState(
        created_at=0.0, due_after=0.0, runs_total=recorded, run_keys=run_keys
    )


class TestKeysOfAnEarlierState:
    """A state that another process stored has the keys of its last runs only."""

    @pytest.mark.parametrize(
        ("earlier", "keys"), [(68, 68), (70, 70), (70, 40), (99, 50), (100, 80)]
    )
    def test_continue_those_that_were_stored(self, earlier: int, keys: int) -> None:
        before = replace(numbered(earlier, keys), run_keys_whole=earlier == 70)
        after = with_keys_of(numbered(100, 32), before)

        assert after.run_keys == numbered(100, 100 - earlier + keys).run_keys
        assert after.run_keys_whole is (earlier == 70)

    @pytest.mark.parametrize(
        "earlier",
        [
            pytest.param(None, id="none"),
            pytest.param(numbered(67, 60), id="runs are missing between them"),
            pytest.param(numbered(90, 10), id="it has none of older runs"),
            pytest.param(numbered(90, 22), id="it has none of older runs, exactly"),
            pytest.param(numbered(101, 60), id="it is not earlier"),
            pytest.param(numbered(90, 60, lineage="x"), id="it has other runs"),
        ],
    )
    def test_are_left_out_otherwise(self, earlier: JobState | None) -> None:
        assert with_keys_of(numbered(100, 32), earlier) == numbered(100, 32)
