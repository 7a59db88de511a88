"""Names of metrics: whatever a report can carry can be written in a rule."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterrun_exporter.core.metric_names import (
    MAX_NAME,
    as_rule,
    is_name,
    quoted,
    read,
    series_name,
    unquoted,
)
from afterrun_exporter.core.rules import OPERATORS, judge, parse_rule
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.report_metrics import read_metrics
from tests.push_bodies import ping_of, read_text

#: Whatever JSON can call a metric, the characters of our grammar more often.
NAMES = st.text(max_size=20) | st.text(
    st.sampled_from('ab_.:-{}=",\\ \n1>'), max_size=20
)
LABELS = st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), st.text())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rows", "rows"),
        ("db.rows-done:total_2", "db.rows-done:total_2"),
        (":rows", ":rows"),
        ('"rows processed"', "rows processed"),
        ('"größe"', "größe"),
        (r'"gr\u00f6\u00dfe"', "größe"),
        (r'"say \"hi\" \\ bye"', r'say "hi" \ bye'),
        ('up{job="a"}', 'up{job="a"}'),
        ('up{ job = "a" , }', 'up{job="a"}'),
        ('up {job="a"}', 'up{job="a"}'),
        ('up{z="1",a="2"}', 'up{a="2",z="1"}'),
        ('up{a="{,=}"}', 'up{a="{,=}"}'),
        (r'up{a="\"\\"}', r'up{a="\"\\"}'),
        ("up{}", "up"),
        # As /metrics has it, with the quotes around it.
        (r'"up{job=\"a\"}"', 'up{job="a"}'),
        ('"duration_ms"', "duration_ms"),
    ],
)
def test_a_name_is_written_plainly_series_name_or_in_quotes(
    text: str, name: str
) -> None:
    assert read(text) == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1rows", 'write any other name in double quotes: "1rows"'),
        ("rows/s", 'write any other name in double quotes: "rows/s"'),
        ("größe", 'write any other name in double quotes: "größe"'),
        ('""', "a name has 1 to 128 printable characters"),
        (r'"a\nb"', "a name has 1 to 128 printable characters"),
        ("r" * 129, "a name has 1 to 128 printable characters"),
        (r'"\d"', r"inside double quotes write \\ for a backslash"),
        (r'"\ud800"', r"inside double quotes write \\ for a backslash"),
        ("up{job=a}", 'write them like backup_status{profile="photos"}'),
        ('up{job!="a"}', 'write them like backup_status{profile="photos"}'),
        ('up{job=~"a"}', 'write them like backup_status{profile="photos"}'),
        ('up{a="1" b="2"}', 'write them like backup_status{profile="photos"}'),
        ('up{a="1",,}', 'write them like backup_status{profile="photos"}'),
        ('up{a="1",a="2"}', "label 'a' is repeated"),
        (r'up{a="\d"}', r"is not an escape: write \\ for a backslash"),
    ],
)
def test_what_is_no_name_is_refused_with_the_way_out(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"name|label|escape|quotes") as error:
        read(text)

    assert problem in str(error.value)


@given(st.text())
@example('"\\\u2028\ud83d\ude00😀\x00\x7f\ufffd')
def test_any_text_that_utf_8_can_hold_can_be_quoted(text: str) -> None:
    whole = text.encode("utf-8", "replace").decode()

    assert unquoted(quoted(whole)) == whole
    assert quoted(text).isprintable()
    assert "\ufffd" not in quoted(text)


@given(name=NAMES, op=st.sampled_from([*OPERATORS, "between"]))
@example('up{job="a"}', ">")
@example('up{b="1",a="2"}', ">")
@example("duration_seconds", "<")
@example("message", "==")
@example("between", "between")
@example("previous", ">")
@example("\ufffd" * MAX_NAME, ">")
@example('up{a="\ufffd"}', ">")
def test_each_metric_that_a_report_can_carry_can_be_judged_by_a_rule(
    name: str, op: str
) -> None:
    """The rule that is written for it parses, round-trips and judges that metric."""
    reported = read_metrics({name: 5}, 50).values
    values = "7 and 9" if op == "between" else f"{4 if '<' in op else 7} * previous"

    if name not in reported:
        assert name == "duration" or not is_name(name)
        return
    rule = parse_rule(f"{as_rule(name)} {op} {values}")

    assert rule.metric == name
    assert len(rule.name) <= 1000
    again = parse_rule(str(rule))
    assert (again.metric, again.bounds) == (rule.metric, rule.bounds)
    assert read(as_rule(name)) == name
    broken = judge(rule, reported, {name: 1.0})
    assert (broken is None) is (op == "!=")
    missing = judge(rule, {}, {})
    assert missing is not None
    assert missing.actual is None


@given(labels=LABELS)
@example({"profile": "photos"})
@example({"a": '\\"\n', "b": ""})
def test_each_sample_that_is_pushed_can_be_judged_by_a_rule(
    labels: dict[str, str],
) -> None:
    """By the name that afterrun_job_metric has for it."""
    sample = series_name("backup_status", labels)
    try:
        pushed, _ = ping_of(
            "backup",
            {"job": "backup"},
            read_text(f"{sample} 0\n".encode()),
            0.0,
            b"",
            50,
        )
    except PingError:
        return
    for name in pushed.metrics:
        broken = judge(parse_rule(f"{as_rule(name)} >= 1"), pushed.metrics, {})
        assert broken is not None
        assert broken.value == 0


def test_a_labelled_sample_is_judged_under_the_name_that_is_exposed() -> None:
    body = b'backup_status{profile="photos",host="db1"} 0\n'

    pushed, _ = ping_of("b", {"job": "b"}, read_text(body), 0.0, b"", 50)

    rule = parse_rule('backup_status{profile="photos", host="db1"} >= 1')
    assert str(judge(rule, pushed.metrics, {})) == (
        'backup_status{host="db1",profile="photos"} was 0, expected >= 1'
    )


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("rows", "rows"),
        ("rows processed", '"rows processed"'),
        ('rows{table="a"}', 'rows{table="a"}'),
        ("9lives", '"9lives"'),
        ("rows{", '"rows{"'),
    ],
)
def test_a_name_that_would_be_read_as_another_is_quoted(name: str, rule: str) -> None:
    assert as_rule(name) == rule
