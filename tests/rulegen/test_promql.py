"""Pieces of PromQL: every text arrives as it was, and names match themselves alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.rulegen import render
from afterrun_exporter.rulegen.promql import any_of, quoted, selector
from tests.strategies import job_names

from .conftest import Run

#: What a name or a rule may hold; some of it means something to RE2 or to PromQL.
TEXTS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=10)
NASTY = (
    r"a.b",
    r"a\b",
    r'"a"',
    "`a`",
    "{{a}}",
    "a|b",
    "a*",
    "^a$",
    "[a-z]",
    "(a)?+",
    r"\d",
    r"\Qa\E",
    "a{1,2}",
    "%s",
    "é ☃ 𝄞",
    " a ",
    "a-b:c",
    "#a",
)


@given(st.lists(TEXTS | job_names(), min_size=1, max_size=5), TEXTS | job_names())
def test_any_of_matches_what_it_was_made_of(names: list[str], other: str) -> None:
    """And nothing else. Python's expressions agree with RE2 in what is used here."""
    pattern = any_of(names)

    assert all(re.fullmatch(pattern, name) for name in names)
    assert bool(re.fullmatch(pattern, other)) == (other in names)


@given(job_names(), st.data())
def test_a_job_is_not_taken_for_one_that_differs_in_a_letter(
    name: str, data: st.DataObject
) -> None:
    """The dots of its name are no wildcards."""
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("aZ0._:-").filter(lambda one: one != name[at]))
    other = name[:at] + letter + name[at + 1 :]

    assert re.fullmatch(any_of([name, "b"]), other) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_text_ends_where_it_should(text: str) -> None:
    """No quote is left open, and no line is broken."""
    inner = quoted(text)[1:-1]

    assert re.fullmatch(r'(?:[^"\\\n]|\\["\\n])*', inner)
    unescaped = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], inner)
    assert unescaped == text


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ((), ""),
        ((("job_name", "=", "a"),), '{job_name="a"}'),
        (
            (("job_name", "!~", r"a\.b|c"), ("rule", "=", 'a "b"')),
            r'{job_name!~"a\\.b|c",rule="a \"b\""}',
        ),
    ],
)
def test_a_selector_is_all_matchers_in_braces(
    matchers: tuple[tuple[str, str, str], ...], expected: str
) -> None:
    """Without any there are no braces either: the metric's name is all."""
    assert selector(*matchers) == expected


def test_prometheus_finds_every_text_by_its_name_and_by_any_of(
    run: Run, tmp_path: Path
) -> None:
    """The same with the real parser and the real RE2."""
    everyone = any_of(NASTY)
    samples = [
        {"labels": f"x{{a={quoted(text)}}}", "value": number}
        for number, text in enumerate(NASTY)
    ]
    wrong = [text + "a" for text in NASTY] + ["axb", "b", "aa", "d", ""]
    others = [text for text in wrong if text not in NASTY]
    case = {
        "interval": "1m",
        "input_series": [
            *({"series": s["labels"], "values": str(s["value"])} for s in samples),
            *({"series": f"x{{a={quoted(one)}}}", "values": "99"} for one in others),
        ],
        "promql_expr_test": [
            {
                "expr": f"x{selector(('a', '=~', everyone))}",
                "eval_time": "0m",
                "exp_samples": samples,
            },
            {
                "expr": f"count(x{selector(('a', '!~', everyone))})",
                "eval_time": "0m",
                "exp_samples": [{"labels": "{}", "value": len(others)}],
            },
            *(
                {
                    "expr": f"x{selector(('a', '=', text))}",
                    "eval_time": "0m",
                    "exp_samples": [sample],
                }
                for text, sample in zip(NASTY, samples, strict=True)
            ),
        ],
    }
    tests = tmp_path / "tests.yml"
    tests.write_text(render.to_yaml({"tests": [case]}))

    result = run("promtool", "test", "rules", tests)

    assert result.returncode == 0, result.stdout + result.stderr
