"""Rules on text: the message of a run, and text fields of its metadata."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Condition, Job, Kind, Outcome
from afterrun_exporter.core.rules import (
    TEXT_OPERATORS,
    Violation,
    judge_all,
    parse_rule,
)
from afterrun_exporter.core.text_fields import (
    MAX_EXCERPT,
    MAX_QUOTE,
    Texts,
    excerpt,
    last_words,
    without_codes,
)
from afterrun_exporter.ingest.reports import metadata_text
from tests.copies import replace
from tests.core.jobs import Night


def broken(text: str, message: str = "", /, **metadata: Any) -> Violation | None:
    """Return how a run broke the rule *text*."""
    about = json.dumps(metadata) if metadata else ""
    found = judge_all([parse_rule(text)], {}, {}, message, about)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("text", "status", "holds"),
    [
        ('status_text == "done"', "done", True),
        ('status_text == "done"', "Done", False),
        ('status_text == "done"', "done ", False),
        ('status_text == ""', "", True),
        ('status_text != "done"', "done", False),
        ('status_text != "done"', "open", True),
        ('status_text contains "on"', "done", True),
        ('status_text contains "ON"', "done", False),
        ('status_text contains ""', "", True),
        ('status_text !contains "WARN"', "all is well", True),
        ('status_text !contains "WARN"', "a WARNING", False),
        ('status_text!contains"WARN"', "a WARNING", False),
        ('status_text=="done"', "done", True),
        ('  status_text   ==   "a  b" ', "a  b", True),
        ('status_text == "a b"', "a  b", False),
        ('metadata.status_text == "done"', "done", True),
        ('"status_text" == "done"', "done", True),
        (r'status_text == "a\nb \"c\" \\ \u00e4"', 'a\nb "c" \\ ä', True),
        ('status_text contains "a > b and {c} == 5"', "a > b and {c} == 5", True),
    ],
)
def test_a_rule_compares_text(text: str, status: str, holds: bool) -> None:
    assert (broken(text, status_text=status) is None) is holds


@pytest.mark.parametrize(
    ("text", "metadata", "was"),
    [
        ('a.b == "x"', {"a": {"b": "y"}}, "y"),
        ('a.b == "x"', {"a.b": "y", "a": {"b": "z"}}, "y"),
        ('a.b.c == "x"', {"a.b": {"c": "y"}, "a": {"b": {"c": "z"}}}, "y"),
        ('metadata.message == "x"', {"message": "y"}, "y"),
        ('metadata.metadata.a == "x"', {"metadata": {"a": "y"}}, "y"),
        ('"two words" == "x"', {"two words": "y"}, "y"),
        ('"a\\u0020b.c" == "x"', {"a b": {"c": "y"}}, "y"),
        # Numbers and booleans as JSON has them.
        ('build == "x"', {"build": 42}, "42"),
        ('build == "x"', {"build": 1.50}, "1.5"),
        ('build == "x"', {"build": True}, "true"),
        # All else is no text.
        ('build == "x"', {"build": None}, None),
        ('build != "x"', {"build": ["x"]}, None),
        ('build !contains "x"', {"build": {"x": "x"}}, None),
        ('build !contains "x"', {"other": "y"}, None),
        ('build.a !contains "x"', {"build": "y"}, None),
        ('build.0 !contains "x"', {"build": ["y"]}, None),
        ('build !contains "x"', {}, None),
    ],
)
def test_a_field_is_found_by_its_path(
    text: str, metadata: dict[str, Any], was: str | None
) -> None:
    violation = broken(text, **metadata)

    assert violation is not None
    assert violation.text == was
    assert violation.value is None


@pytest.mark.parametrize(
    ("text", "message", "holds"),
    [
        ('message contains "done"', "all done", True),
        ('message contains "done"', "", False),
        ('message == "done"', "", False),
        ('message == ""', "", True),
        ('message == ""', "a warning", False),
        ('message != "done"', "", True),
        ('message !contains "WARN"', "", True),
        ('message !contains "WARN"', "a\nWARN: b", False),
    ],
)
def test_a_run_without_a_message_has_an_empty_one(
    text: str, message: str, holds: bool
) -> None:
    assert (broken(text, message) is None) is holds


@pytest.mark.parametrize(
    ("text", "message", "metadata", "holds"),
    [
        ('message contains "done"', "", "", True),
        ('message contains "done"', "failed", "", False),
        ('state == "done"', "", "", True),
        ('state == "done"', "", '{"state": null}', True),
        ('state == "done"', "", '{"state": ""}', False),
        ('state == "done"', "", '{"state": "failed"}', False),
    ],
)
def test_what_is_missing_can_be_ignored(
    text: str, message: str, metadata: str, holds: bool
) -> None:
    rule = replace(parse_rule(text), ignore_missing=True)

    assert (not judge_all([rule], {}, {}, message, metadata)) is holds


def test_a_violation_shows_the_text_in_quotes() -> None:
    assert str(broken('state == "done"', state="done\n")) == (
        r'state was "done\n", expected == "done"'
    )
    assert str(broken('state == "done"')) == (
        'state was not reported, expected == "done"'
    )
    assert str(broken('message !contains "WARN"', "WARN: disk")) == (
        'message was "WARN: disk", expected !contains "WARN"'
    )


def test_a_long_text_is_shown_where_it_matters() -> None:
    """Around what must not be in it; else its end, where errors are."""
    long = "a" * 5000 + "WARN" + "b" * 5000

    found = broken('message !contains "WARN"', long)
    other = broken('message contains "done"', long)

    assert found is not None
    assert other is not None
    assert found.text == f"…{'a' * 98}WARN{'b' * 98}…"
    assert other.text == f"…{'b' * 200}"


@given(st.text(), st.text())
@example("x" * 500, "x" * 300)
def test_an_excerpt_is_short_and_of_the_text(text: str, around: str) -> None:
    shown = excerpt(text, around)

    assert shown.strip("…") in text
    assert len(shown) <= MAX_EXCERPT + 2
    if around in text and len(around) <= MAX_EXCERPT:
        assert around in shown or not around


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("status_text == done", 'write a text in double quotes: == "done"'),
        ("status_text == 'done'", 'write a text in double quotes: == "done"'),
        ("message contains WARN", 'in double quotes, such as "WARN"'),
        ("message !contains 'WARN'", 'in double quotes, such as "WARN"'),
        ("message contains", "cannot read '' in rule 'message contains'"),
        ('message contains "a" or "b"', "write one text in double quotes"),
        ('message == "a', "the closing quote is missing"),
        ('message == "\\d"', r"write \\ for a backslash"),
        ('message == "a\nb"', r"\n for a line end"),
        ('message == "a\u200bb"', r"write \u200b for it"),
        ('message == "\ufffd"', r"write \ufffd for it"),
        ('up{a="\ufffd"} > 1', r'write "up{a=\"\ufffd\"}"'),
        ('status_text > "5"', "> compares numbers"),
        ('rows between "1" and "5"', "compares numbers"),
        ('duration == "5"', "duration is a number"),
        ("rows processed > 0", '; write a name with spaces in double quotes: "rows'),
    ],
)
def test_what_is_no_rule_on_text_is_refused_with_the_way_out(
    text: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=r"quotes|rule|number|character") as error:
        parse_rule(text)

    assert problem in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab.", max_size=3), inner),
    max_leaves=8,
)
OPS: dict[str, Any] = {
    "==": lambda text, part: text == part,
    "!=": lambda text, part: text != part,
    "contains": lambda text, part: text.find(part) >= 0,
    "!contains": lambda text, part: text.find(part) < 0,
}


def modelled(data: Any, path: str) -> str | None:
    """Return the text at *path*, found the plain way."""
    keys = path.split(".")
    for end in range(len(keys), 0, -1):
        key = ".".join(keys[:end])
        if isinstance(data, dict) and key in data:
            value = data[key]
            if end < len(keys):
                return modelled(value, ".".join(keys[end:]))
            if isinstance(value, str):
                return value
            is_plain = isinstance(value, bool | int | float)
            return json.dumps(value) if is_plain else None
    return None


@given(
    metadata=st.dictionaries(st.text("ab.", max_size=3), JSON),
    field=st.text("ab.", min_size=1, max_size=5),
    op=st.sampled_from([*TEXT_OPERATORS]),
    part=st.text(max_size=3) | st.sampled_from(["true", "0"]),
    ignored=st.booleans(),
)
def test_a_rule_on_text_judges_as_a_plain_model_does(
    metadata: dict[str, Any], field: str, op: str, part: str, ignored: bool
) -> None:
    part = part.encode("utf-8", "replace").decode()
    stored, _ = metadata_text(metadata)
    reported = modelled(json.loads(stored) if stored else {}, field)
    rule = replace(
        parse_rule(f"{json.dumps(f'metadata.{field}')} {op} {json.dumps(part)}"),
        name="named",
        ignore_missing=ignored,
    )

    found = judge_all([rule], {}, {}, "", stored)

    if reported is None:
        assert bool(found) is not ignored
    else:
        assert bool(found) is not OPS[op](reported, part)
    for violation in found:
        assert violation.text == (reported if reported is None else excerpt(reported))
    again = parse_rule(str(rule))
    assert (again.metric, again.assertion) == (rule.metric, rule.assertion)


@given(metadata=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example('{"a": {"b": "\\ud800"}}')
@example('{"a": "\\ud800"}')
@example('{"a": 1e999}')
@example('{"a": ' + "9" * 5000 + "}")
@example('{"a": "\ud800"}')
@example("null")
def test_no_metadata_does_harm(metadata: str) -> None:
    for name in ("a", "a.b", "message", "metadata.message", ""):
        Texts("", metadata).get(name)
    [*Texts("", metadata).names()]


TEXTED = Job(
    name="backup",
    rules=(
        parse_rule("rows > 0"),
        replace(
            parse_rule('message !contains "WARN"'),
            name="no-warnings",
            severity="critical",
        ),
        replace(parse_rule('status_text == "done"'), ignore_missing=True),
    ),
)


def test_a_run_that_breaks_a_rule_on_text_is_violated_and_alerts() -> None:
    lived = Night(TEXTED).ping("22 02:00", message="WARN: half of it is missing")

    (run,) = lived.runs
    assert run.outcome is Outcome.VIOLATED
    (opened,) = lived.alerts
    assert (opened.alert.key.condition, opened.alert.key.rule, opened.severity) == (
        Condition.VIOLATED,
        "no-warnings",
        "critical",
    )
    assert opened.metric == "message"
    assert opened.summary == (
        'message was "WARN: half of it is missing", expected !contains "WARN"'
    )

    lived.ping("22 03:00", message="all is well")

    assert lived.state.violated == ()


def test_what_the_start_said_of_a_run_is_judged_with_its_end() -> None:
    """As it is recorded: the end counts where both say something."""
    lived = Night(TEXTED)
    lived.ping("22 02:00", Kind.START, metadata='{"status_text": "begun"}', run_id="a")
    lived.ping("22 02:01", run_id="a")
    lived.ping("22 03:00", Kind.START, metadata='{"status_text": "begun"}', run_id="b")
    lived.ping("22 03:01", run_id="b", metadata='{"status_text": "done"}')

    assert lived.outcomes == ["violated", "ok"]


def test_a_run_that_failed_is_not_judged_by_its_text() -> None:
    lived = Night(TEXTED).ping("22 02:00", outcome=Outcome.FAIL, message="WARN")

    assert lived.runs[0].violations == ()


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        ('{"a": "x", "b": null, "c": [1], "d": 7}', ["a", "d"]),
        ('{"a": "\\ud800"}', []),
        ("{", []),
        ("", []),
    ],
)
def test_a_run_has_the_fields_that_are_text(metadata: str, names: list[str]) -> None:
    assert [*Texts("", metadata).names()] == names


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[31mERROR\x1b[0m disk full", "ERROR disk full"),
        ("\x1b[38;5;196mred\x1b[K \x1b[2J\x1b[?25hdone", "red done"),
        ("\x1b]0;title\x07a \x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "a link"),
        ("\x1b(Bplain [0m", "plain [0m"),
        ("\x1b", "\x1b"),
    ],
)
def test_codes_of_terminals_are_no_part_of_a_text(text: str, plain: str) -> None:
    assert without_codes(text) == plain


@given(st.text(st.sampled_from("\x1b[]31m;\\\x07K a"), max_size=80), st.integers(0, 40))
def test_last_words_are_one_printable_line(text: str, times: int) -> None:
    line = last_words(text * times)

    assert line.isprintable()
    assert len(line) <= MAX_QUOTE + 1
