"""The outcome of an attempt: exit statuses, what they may mean, and what counts before."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.client.child import ProcessEnd
from afterrun_exporter.client.outcomes import (
    attempt_outcome,
    exit_outcomes,
    exit_statuses,
)
from afterrun_exporter.client.reports import report, worse_status


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("1", {1}),
        ("1,3", {1, 3}),
        ("1,3,10-12", {1, 3, 10, 11, 12}),
        (" 1 , 3 - 4 ", {1, 3, 4}),
        ("7-7", {7}),
        ("1,1-2", {1, 2}),
        ("255", {255}),
        ("007", {7}),
    ],
)
def test_exit_statuses_are_lists_and_ranges(text: str, statuses: set[int]) -> None:
    assert exit_statuses(text) == statuses


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "'' is not an exit status; write them like 1,3 or 10-12"),
        ("1,", "'' is not an exit status"),
        ("one", "'one' is not an exit status"),
        ("1;3", "'1;3' is not an exit status"),
        ("1.5", "'1.5' is not an exit status"),
        ("-1", "'-1' is not an exit status"),
        ("1-", "'1-' is not an exit status"),
        ("1-2-3", "'1-2-3' is not an exit status"),
        ("٣", "'٣' is not an exit status"),
        ("0x1", "'0x1' is not an exit status"),
        ("SIGTERM", "'SIGTERM' is not an exit status"),
        ("0", "exit status 0 is always ok"),
        ("0-3", "exit status 0 is always ok"),
        ("256", "256 is not an exit status: the largest is 255"),
        ("1-99999", "99999 is not an exit status"),
        ("9" * 5000, "is not an exit status"),
        ("12-10", "'12-10' is empty; write it like 10-12"),
    ],
)
def test_what_is_no_list_of_exit_statuses_is_refused(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=r"exit status|is empty") as caught:
        exit_statuses(text)
    assert error in str(caught.value)


@given(st.text())
def test_any_text_is_a_list_or_a_mistake(text: str) -> None:
    try:
        statuses = exit_statuses(text)
    except ValueError:
        return
    assert statuses <= set(range(1, 256))


def test_an_exit_status_has_one_outcome() -> None:
    lists = {"partial": [frozenset({2, 3})], "ok": [frozenset({1}), frozenset({3})]}

    with pytest.raises(ValueError, match="exit status 3 is in --partial-exit and in"):
        exit_outcomes(lists)
    assert exit_outcomes({"partial": [], "ok": [frozenset({1}), frozenset({1})]}) == {
        1: "ok"
    }


EXITS = {1: "ok", 3: "partial", 9: "skipped", 124: "ok", 127: "ok", 143: "ok"}


def ended(status: int, **fields: Any) -> ProcessEnd:
    return ProcessEnd(status, 0.0, 1.0, 1.0, **fields)


@pytest.mark.parametrize(
    ("end", "losses", "outcome", "status", "again"),
    [
        (ended(0, exited=True), {}, "ok", 0, False),
        (ended(1, exited=True), {}, "ok", 1, False),
        (ended(3, exited=True), {}, "partial", 3, False),
        (ended(9, exited=True), {}, "skipped", 9, False),
        (ended(2, exited=True), {}, "fail", 2, True),
        # A shell exits so as well, and then it is the shell's own status.
        (ended(143, exited=True), {}, "ok", 143, False),
        (ended(143, remark="killed by SIGTERM"), {}, "fail", 143, True),
        (ended(124, timed_out=True), {}, "timeout", 124, True),
        (ended(1, exited=True, timed_out=True), {}, "timeout", 124, True),
        (ended(127, ran=False, again=False), {}, "fail", 127, False),
        (ended(126, ran=False, again=True), {}, "fail", 126, True),
        (ended(0, exited=True), {"output_lost": True}, "fail", 74, False),
        (
            ended(0, exited=True),
            {"output_lost": True, "reader_gone": True},
            "fail",
            141,
            False,
        ),
        (ended(1, exited=True), {"output_lost": True}, "fail", 1, False),
        (ended(0, timed_out=True), {"output_lost": True}, "timeout", 124, True),
    ],
)
def test_the_outcome_of_an_attempt(
    end: ProcessEnd,
    losses: dict[str, bool],
    outcome: str,
    status: int,
    again: bool,
) -> None:
    result = attempt_outcome(end, EXITS, **losses)

    assert result[:2] == (outcome, status)
    assert result.again == again


@given(
    st.integers(0, 255),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.dictionaries(st.integers(1, 255), st.sampled_from(["ok", "partial", "skipped"])),
)
def test_a_run_is_ok_only_if_nothing_speaks_against_it(
    status: int, exited: bool, timed_out: bool, output_lost: bool, exits: dict[int, str]
) -> None:
    """And exec exits with 0 only then."""
    end = ended(status, exited=exited, timed_out=timed_out)

    result = attempt_outcome(end, exits, output_lost=output_lost)

    fine = status == 0 or (exited and exits.get(status) == "ok")
    assert (result.outcome == "ok") == (fine and not timed_out and not output_lost)
    assert (result.status == 0) == (status == 0 and not timed_out and not output_lost)
    assert not (result.again and result.outcome in {"ok", "partial", "skipped"})


@pytest.mark.parametrize(
    ("status", "exit_code", "worse", "warned"),
    [
        (None, None, "ok", False),
        (None, 0, "ok", False),
        (None, 3, "fail", False),
        (None, -9, "fail", False),
        ("", 3, "fail", False),
        ("ok", 0, "ok", False),
        ("ok", 3, "fail", True),
        (" Success ", 1, "fail", True),
        ("COMPLETED", -1, "fail", True),
        ("fail", 0, "fail", False),
        ("fail", 3, "fail", False),
        ("partial", 3, "partial", False),
        ("skipped", 9, "skipped", False),
        ("start", 0, "start", False),
    ],
)
def test_the_worse_of_status_and_exit_code_counts(
    status: str | None, exit_code: int | None, worse: str, warned: bool
) -> None:
    found, warning = worse_status(status, exit_code)

    assert (found, bool(warning)) == (worse, warned)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters()), VALUES))
def test_whatever_a_report_has_is_sent_as_json(metadata: dict[str, Any]) -> None:
    """Arguments that are no UTF-8, numbers that are none, objects of any class."""
    made = report("backup", "fail", metadata=metadata, message="\udcff")

    fields = json.loads(made.body(), parse_constant=pytest.fail)

    assert fields["status"] == "fail"
    assert fields["message"] == "?"
    json.dumps(fields, ensure_ascii=False).encode()
    assert len(fields.get("metadata", {})) <= len(metadata)


def test_what_has_no_end_is_sent_all_the_same() -> None:
    endless: list[Any] = [math.inf, datetime(2026, 1, 1, tzinfo=UTC)]
    endless.append(endless)

    fields = json.loads(report("a", "ok", metadata={"x": endless}).body())

    assert fields["metadata"]["x"][:2] == ["inf", "2026-01-01 00:00:00+00:00"]
