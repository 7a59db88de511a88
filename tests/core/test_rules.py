from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.rules import DURATION, OPERATORS, judge, parse_rule
from tests.copies import replace

NOTHING: dict[str, float] = {}


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("rows > 0", 1, True),
        ("rows > 0", 0, False),
        ("rows >= 100", 100, True),
        ("rows >= 100", 99.9, False),
        ("rows < 10", 9, True),
        ("rows < 10", 10, False),
        ("rows <= 5%", 0.05, True),
        ("rows <= 5%", 0.051, False),
        ("rows == 0", 0, True),
        ("rows == 0", 1, False),
        ("rows != 0", 1, True),
        ("rows != 0", 0, False),
        ("rows>1KiB", 1025, True),
        ("rows>1KiB", 1024, False),
        ("rows < 1h30m", 5399, True),
        ("rows < 1h30m", 5400, False),
        ("rows between 10 and 20", 10, True),
        ("rows between 10 and 20", 20, True),
        ("rows between 10 and 20", 9, False),
        ("rows between 10 and 20", 21, False),
        ("rows between -1 and 1", 0, True),
        ("  rows   >   0 ", 0, False),
    ],
)
def test_a_rule_holds_on_its_side_of_the_threshold(
    text: str, value: float, holds: bool
) -> None:
    broken = judge(parse_rule(text), {"rows": value}, NOTHING)

    assert (broken is None) is holds


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("rows >= 0.5 * previous", 50, True),
        ("rows >= 0.5 * previous", 49, False),
        ("rows >= 50% * previous", 49, False),
        ("rows >= previous", 100, True),
        ("rows >= previous", 99, False),
        ("rows between 0.5 * previous and 2 * previous", 200, True),
        ("rows between 0.5 * previous and 2 * previous", 201, False),
        ("rows between 10 and 2 * previous", 9, False),
    ],
)
def test_a_run_can_be_held_against_the_last_ok_run(
    text: str, value: float, holds: bool
) -> None:
    broken = judge(parse_rule(text), {"rows": value}, {"rows": 100})

    assert (broken is None) is holds


def test_the_first_run_has_nothing_to_be_held_against() -> None:
    rule = parse_rule("rows >= 0.5 * previous")

    assert judge(rule, {"rows": 0}, NOTHING) is None


def test_a_metric_that_was_not_reported_breaks_its_rule() -> None:
    broken = judge(parse_rule("rows > 0"), NOTHING, NOTHING)

    assert str(broken) == "rows was not reported, expected > 0"


def test_unless_the_rule_says_to_ignore_that() -> None:
    rule = replace(parse_rule("rows > 0"), ignore_missing=True)

    assert judge(rule, NOTHING, NOTHING) is None


def test_the_duration_of_the_run_is_a_metric_of_its_own() -> None:
    rule = parse_rule("duration < 10m")

    assert judge(rule, {DURATION: 599}, NOTHING) is None
    assert str(judge(rule, {DURATION: 600}, NOTHING)) == (
        "duration was 10m, expected < 10m"
    )


def test_a_violation_says_what_was_expected_in_numbers() -> None:
    rule = replace(parse_rule("rows >= 0.5 * previous"), name="rows-halved")

    broken = judge(rule, {"rows": 3}, {"rows": 10})

    assert broken is not None
    assert broken.rule == "rows-halved"
    assert str(broken) == "rows was 3, expected >= 5 (0.5 * previous)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read rule '': write METRIC OP VALUE"),
        ("rows", "cannot read rule 'rows': write METRIC OP VALUE"),
        ("rows => 5", "cannot read rule 'rows => 5'"),
        ("rows > many", "'many' is not a number"),
        ("rows > 5 parsecs", "unknown unit 'parsecs'"),
        ("rows > 2 * yesterday", "'2 * yesterday' is not a number"),
        ("5 > rows", "'rows' is not a number"),
        ("1rows > 5", "'1rows' is not a metric name"),
        ("rows between 5", "cannot read rule 'rows between 5'"),
        ("rows between 5 and 1", "nothing is between 5 and 1: swap them"),
        ("duration_ms < 600000", "write duration with a unit, such as duration < 10m"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"rule|name|number|unit|between") as error:
        parse_rule(text)

    assert message in str(error.value)


QUANTITIES = st.floats(allow_nan=False, allow_infinity=False).map(repr)
VALUES = QUANTITIES | QUANTITIES.map("{} * previous".format) | st.just("previous")


@given(
    st.builds("rows {} {}".format, st.sampled_from([*OPERATORS]), VALUES)
    | st.builds("rows between {} and {} * previous".format, VALUES, QUANTITIES)
)
def test_a_rule_can_be_written_down_again(text: str) -> None:
    rule = replace(parse_rule(text), name="named")

    assert parse_rule(rule.expr).bounds == rule.bounds
    assert parse_rule(rule.expr).metric == rule.metric


@given(st.text())
def test_no_text_does_more_than_being_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ValueError:
        return
    judge(rule, {rule.metric: 1.0}, NOTHING)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False))
def test_a_rule_and_its_opposite_never_agree(threshold: float, value: float) -> None:
    above = parse_rule(f"rows > {threshold!r}")
    not_above = parse_rule(f"rows <= {threshold!r}")

    verdicts = [judge(rule, {"rows": value}, NOTHING) for rule in (above, not_above)]

    assert sum(broken is None for broken in verdicts) == 1


def test_a_rule_with_two_bounds_is_written_as_a_range() -> None:
    rule = parse_rule("rows between 10 and 1KiB")

    assert str(rule) == rule.expr == "rows between 10 and 1024"
    assert parse_rule(rule.expr).bounds == rule.bounds


@pytest.mark.parametrize(
    "text",
    ["rows > 5", "rows >= 0.5 * previous", 'status_text contains "on"', '"a b" != 7'],
)
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert parse_rule(text).expr == text
