"""Hints: a close match, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.did_you_mean import near

KEYS = [
    "accept", "active", "after_failures", "below", "critical", "early", "enabled", "end",
    "every", "exclude", "failure", "grace", "info", "max_runtime", "mute", "name",
    "recover_after", "reject", "rows_max", "rows_processed", "runbook_url", "rules",
    "start", "success", "timezone", "warning",
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("grcae", "grace"),
        ("evry", "every"),
        ("nmae", "name"),
        ("rule", "rules"),
        ("row_processed", "rows_processed"),
        ("maxRuntime", "max_runtime"),
        ("max-runtime", "max_runtime"),
        ("MAX_RUNTIME", "max_runtime"),
        ("crit", "critical"),
        ("warn", "warning"),
        ("runbook", "runbook_url"),
        ("time_zone", "timezone"),
        ("tiemzone", "timezone"),
    ],
)
def test_a_slip_is_recognised(word: str, meant: str) -> None:
    assert near(word, KEYS) == meant


@pytest.mark.parametrize(
    "word",
    [
        "",
        "x",
        "min_runtime",
        "rows_min",
        "disabled",
        "inactive",
        "unmute",
        "include",
        "above",
        "noncritical",
        "uncritical",
        "late",
        "before_failures",
        "stop",
        "except",
        "deadline",
        "retries",
        "interval",
        "cron",
        "aborted",
        "e" * 10_000,
    ],
)
def test_what_is_no_slip_or_the_opposite_gets_no_hint(word: str) -> None:
    assert near(word, KEYS) is None


def test_a_beginning_of_two_words_is_of_neither() -> None:
    assert near("back", ["backup-db", "backup-web"]) is None


def edits(one: str, other: str) -> int:
    """Return how many insertions, deletions and changes make *other* of *one*."""
    row: list[int] = [*range(len(other) + 1)]
    for i, left in enumerate(one, 1):
        before, row = row, [i]
        for j, right in enumerate(other, 1):
            change = before[j - 1] + (left != right)
            row.append(min(before[j] + 1, row[j - 1] + 1, change))
    return row[-1]


@given(
    word=st.text("abmx_in", max_size=8) | st.sampled_from(KEYS),
    known=st.lists(st.text("abmx_in", max_size=8) | st.sampled_from(KEYS), max_size=6),
)
def test_a_hint_is_a_close_match_and_never_the_opposite(
    word: str, known: list[str]
) -> None:
    meant = near(word, known)

    if meant is None:
        return
    assert meant in known
    plain = word.replace("_", "").lower(), meant.replace("_", "").lower()
    # Two letters swapped are two changes.
    assert edits(word, meant) <= 4 or plain[1].startswith(plain[0])
    for negation in ("un", "in", "dis", "non"):
        assert f"{negation}{meant}" != word
        assert f"{negation}{word}" != meant
    assert ("min" in word.split("_")) <= ("max" not in meant.split("_"))
