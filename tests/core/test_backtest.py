"""Rules tried on past runs: what they would have flagged, against what was flagged."""

from __future__ import annotations

import json

import pytest

from afterrun_exporter.core.backtest import (
    MAX_FIELDS,
    Backtest,
    Change,
    changed_verdicts,
    headline,
    newest,
)
from afterrun_exporter.core.model import Job, Outcome, Run
from afterrun_exporter.core.rules import Rule, parse_rule
from tests.copies import replace
from tests.core.jobs import BACKUP, Night, at, tried

ENOUGH = parse_rule("rows > 100")
HALVED = replace(parse_rule("rows >= 0.5 * previous"), name="rows-halved")
#: What was flagged live in these tests.
ANY = parse_rule("rows > 0")

LIVE = Job(name="backup", rules=(ANY,))


def night(*rows: float | None, job: Job = LIVE) -> Night:
    """Return a job with a run a minute; each reported so many rows, or none at all."""
    lived = Night(job)
    for minute, value in enumerate(rows):
        metrics = {} if value is None else {"rows": value}
        lived.ping(f"22 02:{minute:02}", metrics=metrics)
    return lived


def changes(found: Backtest) -> list[tuple[int, str]]:
    """Return what is to be said of which run, the oldest first."""
    return [(one.run.number, one.change.value) for one in found.flagged]


class TestARun:
    @pytest.mark.parametrize(
        ("rows", "change"),
        [
            (101, Change.NEITHER),
            (100, Change.NEWLY),
            (1, Change.NEWLY),
            (0, Change.BOTH),
            (-1, Change.BOTH),
            (None, Change.BOTH),
        ],
    )
    def test_is_judged_by_a_stricter_rule(
        self, rows: float | None, change: Change
    ) -> None:
        found = tried([ENOUGH], night(rows).runs)

        assert found.changes == {change: 1}

    def test_is_no_longer_flagged_by_a_more_lenient_one(self) -> None:
        found = tried([parse_rule("rows >= 0")], night(5, 0, -1).runs)

        assert changes(found) == [(2, "no_longer_flagged"), (3, "flagged_by_both")]
        assert (found.would_flag, found.was_flagged) == (1, 2)

    def test_is_flagged_by_nothing_without_rules(self) -> None:
        found = tried([], night(5, 0).runs)

        assert changes(found) == [(2, "no_longer_flagged")]

    @pytest.mark.parametrize(
        "outcome",
        [Outcome.FAIL, Outcome.PARTIAL, Outcome.TIMEOUT, Outcome.CANCELED,
         Outcome.INVALID],
    )  # fmt: skip
    def test_that_did_not_say_it_was_ok_is_not_judged(self, outcome: Outcome) -> None:
        lived = Night(LIVE).ping("22 02:00", outcome=outcome, metrics={})

        found = tried([ENOUGH], lived.runs)

        assert found.changes == {Change.NOT_JUDGED: 1}
        assert (found.runs, found.judged, changes(found)) == (1, 0, [])

    def test_that_was_given_up_is_not_judged(self) -> None:
        lived = Night(Job(name="backup", max_runtime=60)).start("22 02:00")
        lived.start("22 03:00")

        found = tried([ENOUGH], lived.runs)

        assert found.changes == {Change.NOT_JUDGED: 1}

    def test_that_reported_nothing_is_ignored_where_the_rule_says_so(self) -> None:
        lenient = replace(parse_rule("rows > 100"), ignore_missing=True)

        found = tried([lenient], night(None, job=Job(name="backup")).runs)

        assert found.changes == {Change.NEITHER: 1}

    def test_is_judged_by_its_duration(self) -> None:
        lived = Night(LIVE).start("22 02:00").ping("22 02:10")
        lived.ping("22 03:10", duration=599.0)

        found = tried([parse_rule("duration < 10m")], lived.runs)

        assert changes(found) == [(1, "newly_flagged")]
        assert str(found.flagged[0].violations[0]) == "duration was 10m, expected < 10m"

    def test_is_told_with_the_value_and_the_threshold_of_then(self) -> None:
        """By each rule that it would break."""
        found = tried([ENOUGH, HALVED], night(200, 50).runs)

        assert [str(broken) for broken in found.flagged[0].violations] == [
            "rows was 50, expected > 100",
            "rows was 50, expected >= 100 (0.5 * previous)",
        ]


class TestPrevious:
    def test_is_the_last_run_that_is_ok_under_the_tried_rules(self) -> None:
        """And not the one that was ok when it came in: 60 would then be in order."""
        rules = [ENOUGH, HALVED]

        found = tried(rules, night(200, 90, 60).runs)

        (_, last) = found.flagged
        assert [str(broken) for broken in last.violations] == [
            "rows was 60, expected > 100",
            "rows was 60, expected >= 100 (0.5 * previous)",
        ]

    def test_can_be_a_run_that_was_flagged(self) -> None:
        """By a rule that is tried no more."""
        job = Job(name="backup", rules=(parse_rule("rows < 150"),))

        found = tried([HALVED], night(100, 200, 90, job=job).runs)

        assert changes(found) == [(2, "no_longer_flagged"), (3, "newly_flagged")]

    def test_holds_before_the_first_run_there_ever_was(self) -> None:
        found = tried([HALVED], night(5).runs)

        assert found.changes == {Change.NEITHER: 1}

    def test_is_not_a_run_that_came_late(self) -> None:
        """A report that ended before the one that was judged last is no news."""
        lived = night(200)
        lived.ping("22 02:05", metrics={"rows": 180.0})
        lived.ping("22 02:06", metrics={"rows": 20.0}, ended_at=at("22 02:03"))
        lived.ping("22 02:07", metrics={"rows": 100.0})

        found = tried([HALVED], lived.runs)

        assert changes(found) == [(3, "newly_flagged")]

    @pytest.mark.parametrize("given_up", [True, False])
    def test_is_one_that_ended_before_a_run_that_is_no_measure(
        self, given_up: bool
    ) -> None:
        """One that was given up or canceled makes no later report late."""
        lived = Night(Job(name="backup", rules=(HALVED,), max_runtime=240))
        lived.ping("22 02:00", metrics={"rows": 200.0})
        if given_up:
            lived.start("22 02:01", run_id="a").start("22 02:10", run_id="b")
        else:
            lived.ping("22 02:05", outcome=Outcome.CANCELED, metrics={})
        reported = {"rows": 110.0}
        lived.ping("22 02:11", run_id="c", metrics=reported, ended_at=at("22 02:04"))
        lived.ping("22 02:12", run_id="d", metrics={"rows": 60.0})

        found = tried([HALVED], lived.runs)

        assert lived.outcomes[2:] == ["ok", "ok"]
        assert found.would_flag == 0


class TestHistory:
    def test_that_does_not_reach_back_leaves_the_oldest_run_untold(self) -> None:
        """What it is to be compared with is not kept any more."""
        found = tried([HALVED], night(200, 90, 80, 30).runs[1:])

        assert changes(found) == [(2, "unknown"), (4, "newly_flagged")]
        assert found.by_rule["rows-halved"].unknown == 1
        assert [*found.warnings()] == []
        assert [*found.gaps()] == [
            "history is incomplete: 1 older run of this job was deleted",
            "1 run cannot be evaluated: what they compare with (`previous`) was deleted",
        ]

    def test_tells_what_can_be_told_without_the_previous_run(self) -> None:
        """A metric that is missing is missing, whatever it was before."""
        job = Job(name="backup")
        between = parse_rule("rows between 10 and 2 * previous")

        missing = tried([HALVED], night(200, None, job=job).runs[1:])
        below = tried([between], night(200, 9, job=job).runs[1:])
        other = tried([HALVED, ENOUGH], night(200, 90, job=job).runs[1:])

        assert [changes(found) for found in (missing, below, other)] == [
            [(2, "newly_flagged")]
        ] * 3
        assert other.by_rule["rows-halved"].unknown == 1

    def test_takes_a_run_that_cannot_be_told_for_what_it_was_recorded_as(self) -> None:
        """Or nothing relative could ever be told again."""
        runs = night(5, 0, 100, 40).runs[1:]

        found = tried([HALVED], runs)

        assert changes(found) == [
            (2, "unknown"), (3, "unknown"), (4, "newly_flagged")
        ]  # fmt: skip
        assert found.was_flagged == 1

    def test_of_a_time_still_knows_what_was_before(self) -> None:
        """The runs before it are replayed and not counted."""
        found = tried([HALVED], night(200, 90).runs, since=at("22 02:01"))

        assert changes(found) == [(2, "newly_flagged")]
        assert (found.runs, found.forgotten) == (1, 0)

    def test_of_a_time_does_not_miss_what_was_forgotten_before_it(self) -> None:
        runs = night(1, 2, 3, 4).runs[1:]

        asked = [
            tried([ANY], runs, since=at(when)) for when in ("22 02:01", "22 02:02")
        ]

        assert [found.forgotten for found in asked] == [1, 0]

    def test_keeps_the_newest_in_detail_and_counts_all(self) -> None:
        found = Backtest([ENOUGH], max_flagged=2)
        for run in night(1, 2, 3).runs:
            found.add(run)

        assert [one.run.number for one in found.flagged] == [2, 3]
        assert found.would_flag == 3


class TestARule:
    def test_is_counted_and_so_is_one_that_was_only_recorded(self) -> None:
        found = tried([ENOUGH], night(500, 50, 0, None).runs)

        now, then = found.by_rule.values()
        assert (now.rule, now.is_tested) == ("rows > 100", True)
        assert (now.would_flag, now.was_flagged, now.not_reported) == (3, 0, 1)
        assert (then.rule, then.is_tested) == ("rows > 0", False)
        assert (then.would_flag, then.was_flagged) == (0, 2)

    @pytest.mark.parametrize(
        ("rule", "said"),
        [
            (
                parse_rule("row > 0"),
                "'row > 0' flags every run: 'row' was never reported; did you mean 'rows'?",
            ),
            (
                parse_rule("bytes_sent > 0"),
                (
                    "'bytes_sent > 0' flags every run: 'bytes_sent' was never reported; "
                    "these runs reported rows"
                ),
            ),
            (
                replace(parse_rule("row > 0"), name="r", ignore_missing=True),
                "'r' never flags: 'row' was never reported; did you mean 'rows'?",
            ),
            (
                parse_rule("duration < 10m"),
                (
                    "'duration < 10m' flags every run: the duration of these runs is "
                    "unknown; report duration_ms, or their start"
                ),
            ),
        ],
    )
    def test_about_what_was_never_reported_is_told(self, rule: Rule, said: str) -> None:
        found = tried([rule], night(5).runs)

        assert [*found.warnings()] == [said]

    def test_about_what_was_reported_once_is_not(self) -> None:
        assert [*tried([ENOUGH], night(None, 5).runs).warnings()] == []

    def test_is_not_suspected_where_no_run_was_judged(self) -> None:
        assert [*tried([ENOUGH], Night(LIVE).fail("22 02:00").runs).warnings()] == []


class TestWhatItComesTo:
    def test_is_told_of_what_differs_the_newest_run_first(self) -> None:
        found = tried([ENOUGH], night(500, 50, 0, 40).runs)

        assert [(one.run.number, one.change) for one in newest(found)] == [
            (4, Change.NEWLY),
            (2, Change.NEWLY),
        ]

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ([], "no runs yet: there is nothing to test rules on"),
            ([500], "0 of 1 run would be flagged, 0 were: no result changes"),
            ([0, 0], "2 of 2 runs would be flagged, 2 were: no result changes"),
            ([500, 50, 0], "2 of 3 runs would be flagged, 1 was: 1 newly, 0 no longer"),
        ],
    )
    def test_says_in_a_sentence_what_it_comes_to(
        self, rows: list[float], said: str
    ) -> None:
        assert headline(tried([ENOUGH], night(*rows).runs)) == said

    def test_says_why_there_is_nothing_to_say(self) -> None:
        later, failed = (
            tried([ENOUGH], night(5).runs, since=at("23 00:00")),
            (tried([ENOUGH], Night(LIVE).fail("22 02:00").runs)),
        )

        assert headline(later) == "no run ended since 2026-11-23T00:00:00Z"
        assert headline(failed) == (
            "none of 1 run reported ok: rules apply to no others"
        )


def test_the_example_job_is_flagged_as_it_was() -> None:
    """A few nights by hand: the laws above are about a job that they made up."""
    lived = Night().ping("22 02:10").ping("23 02:10", metrics={"rows": 0.0})

    found = tried(BACKUP.rules, lived.runs)

    assert changes(found) == [(2, "flagged_by_both")]


class TestARuleOnText:
    DONE = parse_rule('status_text == "done"')

    def runs(self, *metadata: str) -> list[Run]:
        lived = Night(LIVE)
        for minute, about in enumerate(metadata):
            lived.ping(f"22 02:{minute:02}", metadata=about, metrics={"rows": 5})
        return lived.runs

    def test_is_applied_to_the_fields_of_each_run(self) -> None:
        runs = self.runs('{"status_text": "done"}', '{"status_text": "open"}', "{}")

        found = tried([self.DONE], runs)

        assert changes(found) == [(2, Change.NEWLY), (3, Change.NEWLY)]
        assert [*found.warnings()] == []

    def test_on_a_field_that_no_run_has_names_one_that_they_have(self) -> None:
        (said,) = tried([self.DONE], self.runs('{"status_txt": "done"}')).warnings()

        assert said.endswith("did you mean 'status_txt'?")

    def test_on_a_metric_says_so(self) -> None:
        (said,) = tried([parse_rule('rows == "5"')], self.runs("{}")).warnings()

        assert "'rows' is a metric, not a text; compare it with a number" in said

    def test_finds_its_field_among_more_than_are_remembered(self) -> None:
        few = json.dumps({f"field_{n}": "x" for n in range(MAX_FIELDS)})

        found = tried([self.DONE], self.runs(few, '{"status_text": "done"}'))

        assert [*found.warnings()] == []


def test_runs_with_another_verdict_are_counted() -> None:
    changed = dict.fromkeys((one.value for one in Change), 3)

    assert changed_verdicts(changed) == 6


def test_runs_are_missing_only_where_older_ones_were_deleted() -> None:
    kept = night(1, 2, 3).runs[2:]

    assert [*tried([ENOUGH], kept).gaps()] == [
        "history is incomplete: 2 older runs of this job were deleted"
    ]
    assert [*tried([ENOUGH], night(1).runs).gaps()] == []
