"""Rules as people type them, one a line, and as they go back into afterrun.yml."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter import config
from afterrun_exporter.config.backtest_rules import (
    MOST_RULES,
    read_rules,
    rule_line,
    rules_block,
)
from afterrun_exporter.core.rules import Rule, parse_rule
from tests.copies import replace
from tests.strategies import TEXTS

HALVED = replace(
    parse_rule("rows >= 0.5 * previous"),
    name="rows-halved",
    severity="critical",
    ignore_missing=True,
)


def lines(*rules: Rule) -> str:
    return "\n".join(map(rule_line, rules))


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ()),
        (" \r\n\r\n", ()),
        ("rows > 0\r\nsize  >  1KiB\r\n", ("rows > 0", "size > 1KiB")),
        ("      - rows > 0\n      - 'size > 1KiB'", ("rows > 0", "size > 1KiB")),
        ('"rows > 0"', ("rows > 0",)),
        ('"rows processed" > 0', ('"rows processed" > 0',)),
        ('- "rows processed" > 0', ('"rows processed" > 0',)),
        ("'\"rows processed\" > 0'", ('"rows processed" > 0',)),
        ('"a" == "b: # c"', ('"a" == "b: # c"',)),
        ('up{a="b"} > 0', ('up{a="b"} > 0',)),
        ('message !contains "WARN: # {"', ('message !contains "WARN: # {"',)),
        ("rows between 1 and 5", ("rows between 1 and 5",)),
    ],
)
def test_a_line_is_a_rule_as_in_the_file(text: str, rules: tuple[str, ...]) -> None:
    assert read_rules(text) == (tuple(map(parse_rule, rules)), ())


def test_a_rule_with_more_to_it_is_in_braces() -> None:
    text = (
        "- {expr: rows >= 0.5 * previous, name: rows-halved, severity: critical, "
        "on_missing: ignore}"
    )

    assert read_rules(text) == ((HALVED,), ())
    assert f"- {rule_line(HALVED)}" == text


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("rows", ["1: cannot read rule 'rows': write METRIC OP VALUE, "]),
        (
            "rows > 0\n\nrows > many\n{expr: rows > 1, nmae: x}\n{expr: [",
            [
                "3: 'many' is not a number",
                "4: nmae: unknown key; did you mean 'name'?",
                "5: ",
            ],
        ),
        ("r > 1\nq > 1\nr > 1", ["3: rule 'r > 1' is listed twice"]),
        ("{expr: r > 1, expr: r > 2}", ["1: expr: "]),
        ("{name: x}", ["1: 'expr' is missing"]),
        ("{expr: 5}", ["1: expr: expected a rule like rows_processed > 0, not 5"]),
        ("r" * 1001, [f"1: '{'r' * 50}...' is too long for a rule: at most 1000"]),
        ("r > 1\n" * 101, [" 101 rules are too many for a backtest: at most 100"]),
    ],
)
def test_all_that_is_wrong_is_told_at_once(text: str, problems: list[str]) -> None:
    rules, found = read_rules(text)

    assert rules == ()
    assert len(found) == len(problems)
    for problem, start in zip(found, problems, strict=True):
        assert str(problem).startswith(start)


def test_as_many_as_may_be_can_be_tried() -> None:
    rules, problems = read_rules("\n".join(f"r{n} > 1" for n in range(MOST_RULES)))

    assert (len(rules), problems) == (MOST_RULES, ())


def _rule(text: str, name: str | None, **more: Any) -> Rule:
    rule = parse_rule(text)
    return replace(rule, name=name or rule.name, **more)


#: Rules with any name that a file can give them.
_NAMES = TEXTS.map(lambda text: "".join(filter(str.isprintable, text))).filter(
    lambda text: bool(text.strip()) and "\ufffd" not in text
)
_RULES = st.lists(
    st.builds(
        _rule,
        st.sampled_from(
            ["rows > 2", "a: > 5", "size > 1KiB", "rows >= 0.5 * previous",
             "rows between 1 and 2 * previous", "duration < 10m", "x:y != 80%",
             'backup_status{profile="photos",z="a, b # {c}"} >= 1',
             '"rows processed" > 0', '"it\'s {\\"a\\"}: # \\\\" between 1 and 2',
             'message !contains "WARN: {a} # b"', '"a b" == "c"', 'a.b contains "\\n"']
        ),
        name=st.none() | _NAMES | st.sampled_from(["true", "1.5e5", "- x", "size > 1"]),
        severity=st.sampled_from([None, "critical"]),
        ignore_missing=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda rule: rule.name,
)  # fmt: skip


@given(rules=_RULES)
def test_what_is_written_is_read_as_the_same_rules(rules: list[Rule]) -> None:
    assert read_rules(lines(*rules)) == (tuple(rules), ())


@pytest.mark.parametrize("job", ["backup", "22:30", "null", "1.5", "a-b.c:d"])
@given(rules=_RULES)
def test_what_is_to_be_pasted_is_a_file_with_the_same_rules(
    job: str, rules: list[Rule]
) -> None:
    job_config = config.parse(rules_block(job, rules)).job_config

    assert job_config.jobs[job].rules == tuple(rules)


@given(
    text=st.text() | st.lists(st.sampled_from("{}[]'\":,-&*!|>%@` \nr>1a")).map("".join)
)
def test_whatever_is_typed_is_read_or_refused_by_line(text: str) -> None:
    rules, problems = read_rules(text)

    assert not (rules and problems)
    assert all(0 <= problem.line <= len(text.splitlines()) for problem in problems)
