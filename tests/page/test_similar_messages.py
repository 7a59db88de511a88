"""Messages with the same cause are recognised, whatever else is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.page.similar_messages import (
    Line,
    cause_line,
    in_brief,
    pattern_of,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 31s", "took 44s"),
        ("took 12.5ms of 1,000", "took 1.5ms of 2,000"),
        ("2026-11-29T17:30:11Z ERROR x", "2026-11-30T01:02:03.5+02:00 ERROR x"),
        ("2026-11-29 17:30:11,123 ERROR x", "2026-11-28 07:30:11,999 ERROR x"),
        ("Nov 29 17:30:11 db1 x", "Dec  1 01:00:00 db1 x"),
        ("Sun, Nov 29 17:30 x", "Mon, Nov 30 17:31 x"),
        ("17:30:11 x", "17:30:12 x"),
        ("batch 8f3a2bc failed", "batch 91ffe02 failed"),
        ("at 0x7ffdeadbeef", "at 0x1"),
        (
            "request 0b5c2a9e-1111-4a4a-9b9b-0123456789ab",
            "request ffffffff-2222-4b4b-8c8c-ba9876543210",
        ),
        ("key AKx91Zq73Lm", "key Bk3Lp8Qx1zz"),
        ("attempt 3 of 5 (pid 4711)", "attempt 4 of 5 (pid 12)"),
        ("part-00012.csv is empty", "part-00013.csv is empty"),
        (
            "read tcp 10.0.0.3:48122->10.0.0.5:5432: i/o timeout",
            "read tcp 10.0.0.3:51300->10.0.0.5:5432: i/o timeout",
        ),
        ("export_20261129T0200 failed", "export_20261130T0200 failed"),
    ],
)
def test_similar_messages_have_one_pattern(one: str, other: str) -> None:
    assert pattern_of(one) == pattern_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("connection refused: db1.internal:5432", "connection refused: db2.internal:5432"),
        ("connection refused: db-1.internal:5432", "connection refused: db-2.internal:5432"),
        ("connection refused: db1:5432", "connection refused: db1:6379"),
        ("no route to 10.0.0.5", "no route to 10.0.0.6"),
        ("no route to 10.0.0.5:22", "no route to 10.0.0.6:22"),
        ("disk full", "disk slow"),
        ("host db1 is down", "host db2 is down"),
    ],
)  # fmt: skip
def test_other_causes_have_another_pattern(one: str, other: str) -> None:
    assert pattern_of(one) != pattern_of(other)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("2026-11-29 12:10:00 export: refused", "refused"),
        ("[2026-11-29 12:10:00] [4711] refused", "refused"),
        ("export: refused", "refused"),
        ("refused after 3 tries", "refused after … tries"),
        ("-- 3 rows", "-- … rows"),
        ("12:10:00", "…"),
        ("4711 (12)", "… (…)"),
        ("3 of 5", "of …"),
    ],
)
def test_gaps_at_the_start_are_removed(text: str, pattern: str) -> None:
    assert pattern_of(text, ["export"]) == pattern


def test_addresses_are_kept_as_they_are() -> None:
    text = "connection refused: db1.internal:5432"

    assert pattern_of(text) == text


def test_names_of_the_job_and_of_the_run_make_no_difference() -> None:
    one = cause_line("export-a failed in run night-1", ["export-a", "night-1"])
    other = cause_line("export-b failed in run night-2", ["export-b", "night-2"])

    assert one is not None
    assert other is not None
    assert one.pattern == other.pattern == "failed in run …"
    assert pattern_of("db is down", ["db"]) == "db is down"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", None),
        (" \n", None),
        ("ERROR job 7\nconnection refused: db1:5432\n", "connection refused: db1:5432"),
        ("connection refused: db1:5432\ncleaning up\ndone", "connection refused: db1:5432"),
        ("one\ntwo  three", "two three"),
        ("Traceback\n  File x\nValueError: no rows\n", "ValueError: no rows"),
        ("x" * 5000, "x" * 200),
    ],
)  # fmt: skip
def test_the_line_about_the_error_tells_the_cause(
    message: str, line: str | None
) -> None:
    found = cause_line(message)

    assert (found and found.text) == line


@given(st.text(max_size=300), st.lists(st.text(max_size=9), max_size=2))
def test_any_text_has_a_pattern(text: str, names: list[str]) -> None:
    found = cause_line(text, names)

    assert found is None or isinstance(found, Line)


TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/jobs/load.py", line 3, in <module>
    main(amounts)
ValueError: bad amount"""


@pytest.mark.parametrize(
    ("message", "brief"),
    [
        ("", ""),
        ("no space left\non device", "no space left on device"),
        (TRACEBACK, "ValueError: bad amount"),
        ("ok so far\n" * 1000 + "disk full\nbye", "disk full"),
        ("\x1b[1;31mERROR\x1b[0m disk full\x1b[K", "ERROR disk full"),
        ("x" * 5000, "x" * 49 + "…"),
    ],
)
def test_a_long_message_in_brief_is_its_cause(message: str, brief: str) -> None:
    assert in_brief(message, 50) == brief


@given(st.text(), st.integers(20, 90))
def test_a_message_in_brief_is_one_short_line(message: str, most: int) -> None:
    brief = in_brief(message * 50, most)

    assert len(brief) <= most
    assert len(brief.splitlines()) <= 1


def test_colours_do_not_make_another_cause() -> None:
    assert cause_line("\x1b[31mERROR\x1b[0m disk full") == cause_line("ERROR disk full")
