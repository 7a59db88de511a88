"""Regular expressions of operators: in linear time, and refused where RE2 has no such."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.tokens import Token
from afterrun_exporter.core.patterns import compiled

#: A name that Python's own engine needs longer than anybody waits to hold against these.
LONG = "a" * 127 + "_"


@pytest.mark.parametrize(
    "text", ["([a-z]+-?)+$", "(a|a)*$", "(a*)*$", "(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_name_takes_long(text: str) -> None:
    assert not compiled(text).fullmatch(LONG)
    assert not compiled(f"^{text}").search(LONG)


def test_a_token_for_some_jobs_is_not_held_up_by_a_name() -> None:
    token = Token("ci", "", frozenset({Scope.PING}), jobs="([a-z]+-?)+")

    assert not token.caller().may(Scope.PING, LONG)
    assert token.caller().may(Scope.PING, "nightly-backup")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("etl(?!-test)", "lookahead or lookbehind"),
        ("(?<=a)b", "lookahead or lookbehind"),
        (r"(a)\1", "backreferences"),
        (r"(?P<a>x)(?P=a)", "backreferences"),
        ("a++", "write a+ for a++"),
        ("(?>a)", "atomic groups"),
        ("(a)?(?(1)b|c)", "conditions"),
        ("a(?#b)", "comments"),
        ("(?x) a", "no flags but i, m, s and U"),
        ("(?a)x", "no flags but i, m, s and U"),
        (r"a\Z", "write $"),
        (r"a\C", "write ."),
        ("(?<n>a)", "write (?P<name>...)"),
        ("a{,3}", "write {0,3}"),
        ("a{1001}", "repeats 1000 times at most"),
        ("a{2,1001}", "repeats 1000 times at most"),
        ("(a{500}){500}", "see https://"),
        ("(", r"missing ): (; see https://github.com/google/re2/wiki/Syntax"),
        (r"\h", "invalid escape sequence"),
        ("\udcff", "see https://"),
    ],
)
def test_what_re2_has_not_is_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        compiled(text)


@pytest.mark.parametrize(
    "text",
    [
        r"\\1",
        r"[(?=]",
        r"[\]{,]a",
        r"\(?<=a",
        r"[^]++]",
        r"\{,3",
        "a{3}",
        "(?i)A",
        "(?P<n>a)",
    ],
)
def test_what_only_looks_like_it_is_taken(text: str) -> None:
    compiled(text)


ATOMS = st.sampled_from(
    ["a", "b", "-", ".", "[ab]", "[^a]", r"\d", r"\w", "a|b", r"\b"]
)
REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?"])
PATTERNS: st.SearchStrategy[str] = st.recursive(
    st.tuples(ATOMS, REPEATS).map(lambda one: f"(?:{one[0]}){one[1]}"),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        st.tuples(inner, REPEATS).map(lambda one: f"({one[0]}){one[1]}"),
        inner.map(lambda one: f"^{one}"),
        inner.map(lambda one: f"{one}$"),
    ),
    max_leaves=6,
)


@given(text=PATTERNS, name=st.text("ab-1_", max_size=12))
def test_what_both_have_means_what_it_means_in_python(text: str, name: str) -> None:
    pattern = compiled(text)

    assert pattern.search(name) is (re.search(text, name) is not None)
    assert pattern.fullmatch(name) is (re.fullmatch(text, name) is not None)


def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """The library would write what it refuses to where the log is."""
    with pytest.raises(ValueError, match="missing"):
        compiled("((((")

    assert capfd.readouterr().err == ""
