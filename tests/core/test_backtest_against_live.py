"""A backtest flags what the rules would have flagged live, whatever was reported."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.backtest import Change
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Run
from afterrun_exporter.core.rules import Rule, Violation, parse_rule
from afterrun_exporter.core.transitions import on_ping, registered
from tests.copies import replace
from tests.core.jobs import SETTINGS, Night, at, tried
from tests.core.test_backtest import LIVE, changes

#: Rules of every kind, and metrics that they are about.
RULES = st.lists(
    st.builds(
        lambda text, **more: replace(parse_rule(text), **more),
        st.sampled_from(
            ["rows > 2", "rows >= 0.5 * previous", "rows between 1 and 2 * previous",
             "size != 3", "size <= previous", "duration < 5", "duration <= 2 * previous",
             'message !contains "WARN"', 'state == "done"', 'state != "done"',
             'nested.state contains "x"', '"rows" > 1', 'load{host="db1"} < 3']
        ),
        ignore_missing=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda rule: rule.name,
)  # fmt: skip


METRICS = st.dictionaries(
    st.sampled_from(["rows", "size", "duration", 'load{host="db1"}']),
    st.integers(0, 6).map(float),
)


MESSAGES = st.sampled_from(["", "all is well", "WARN: disk is full"])


METADATA = st.sampled_from(
    ["", '{"state": "done"}', '{"state": 5, "nested": {"state": "x"}}', '{"state": []}']
)


#: A run is found violated: nobody reports it so.
REPORTED = [Outcome.OK, *(one for one in Outcome if one is not Outcome.VIOLATED)]


@st.composite
def pings(draw: st.DrawFn, *, in_turn: bool = False) -> list[Ping]:
    """Return what a job reports, in the order of arrival.

    Unless each report is *in_turn*, some end before others that came in earlier,
    and the clock may be set back before a run ends: no other report of that is kept.
    """
    now, made = at("22 02:00"), []
    for number in range(draw(st.integers(0, 14))):
        kind = draw(
            st.sampled_from([Kind.FINISH, Kind.FINISH, Kind.START, Kind.PROGRESS])
        )
        back = 0 if in_turn or kind is not Kind.FINISH else -3
        now += draw(st.integers(back, 9))
        ago = st.none() if in_turn else st.none() | st.integers(0, 30)
        ended, started = draw(ago), draw(st.none() | st.integers(-2, 9))
        made.append(
            Ping(
                job="backup",
                kind=kind,
                at=now,
                outcome=draw(st.sampled_from(REPORTED))
                if kind is Kind.FINISH
                else Outcome.OK,
                run_id=draw(st.sampled_from([None, "a", "b"])),
                attempt=number + 1,
                ended_at=None if ended is None else now - ended,
                started_at=None if started is None else now - started,
                duration=draw(st.none() | st.integers(0, 9).map(float)),
                metrics=draw(METRICS),
                message=draw(MESSAGES),
                metadata=draw(METADATA),
                fingerprint=str(number).encode(),
            )
        )
    return made


def test_a_run_that_judges_nothing_shows_that_the_clock_was_set_back() -> None:
    """The run that was reported late is news: it did not end before the one before."""
    grows, lived_through = parse_rule("rows >= 1 * previous"), Night(LIVE)
    lived_through.job = replace(LIVE, rules=(grows,))
    lived_through.ping("22 02:00:10", metrics={"rows": 5.0})
    lived_through.ping("22 02:00:09", outcome=Outcome.CANCELED)
    late = at("22 02:00:09")
    lived_through.ping("22 02:00:11", ended_at=late, metrics={"rows": 9.0})
    lived_through.ping("22 02:00:12", metrics={"rows": 7.0})

    found = tried([grows], lived_through.runs)

    assert lived_through.outcomes == ["ok", "canceled", "ok", "violated"]
    assert changes(found) == [(4, Change.BOTH)]


def parts(broken: Violation) -> tuple[str, str, float | None]:
    """Return what is known of a violation without what the run before reported."""
    return broken.rule, broken.metric, broken.value


def lived(rules: Sequence[Rule], reports: Sequence[Ping]) -> list[Run]:
    """Return the runs of a job that always had *rules*."""
    job = Job(name="backup", rules=tuple(rules), max_runtime=4)
    runs: list[Run] = []
    state = registered(job, at("22 02:00"))
    for ping in reports:
        made = on_ping(job, state, ping, SETTINGS)
        state = made.state
        runs += made.runs
    return runs


@given(rules=RULES, reports=pings())
def test_the_rules_a_job_always_had_flag_what_they_flagged(
    rules: list[Rule], reports: list[Ping]
) -> None:
    """With the same values and thresholds, whatever the job reported, and when."""
    runs = lived(rules, reports)

    found = tried(rules, runs)

    assert {one.change for one in found.flagged} <= {Change.BOTH}
    assert [(one.run, one.violations) for one in found.flagged] == [
        (run, run.violations) for run in runs if run.outcome is Outcome.VIOLATED
    ]


@given(rules=RULES, reports=pings(in_turn=True), forgotten=st.integers(0, 14))
def test_a_history_that_is_not_whole_says_nothing_else(
    rules: list[Rule], reports: list[Ping], forgotten: int
) -> None:
    """It may say less: that it cannot tell."""
    runs = lived(rules, reports)[forgotten:]

    found = tried(rules, runs)

    assert {one.change for one in found.flagged} <= {Change.BOTH, Change.UNKNOWN}
    for one in found.flagged:
        recorded = [parts(broken) for broken in one.run.violations]
        broken = [parts(broken) for broken in one.violations]
        assert broken == [each for each in recorded if each[0] not in one.unknown]
    assert found.was_flagged == sum(run.outcome is Outcome.VIOLATED for run in runs)


@given(rules=RULES, others=RULES, reports=pings())
def test_what_would_be_flagged_is_what_a_job_with_those_rules_would_flag(
    rules: list[Rule], others: list[Rule], reports: list[Ping]
) -> None:
    """Whatever the rules were when the runs came in."""
    live, otherwise = lived(rules, reports), lived(others, reports)

    found = tried(others, live)

    assert [
        (one.run.number, one.violations) for one in found.flagged if one.violations
    ] == [(run.number, run.violations) for run in otherwise if run.violations]
