"""A report is ok only if nothing in it says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import FAILURES, Kind, Outcome
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import outcome_claims, reports
from afterrun_exporter.ingest.vocabulary import STATUSES, hint
from tests.ingest.claimed_outcomes import NOT_OK, OK, UNREADABLE


def outcome(fields: dict[str, Any]) -> Outcome:
    ping, _ = reports.ping_of("job", fields, at=0.0, fingerprint=b"", metrics_limit=50)
    return ping.outcome if ping.kind is Kind.FINISH else Outcome.INVALID


def test_a_report_that_says_otherwise_is_not_ok() -> None:
    assert [fields for fields in NOT_OK if outcome(fields) not in FAILURES] == []


def test_a_report_that_says_nothing_bad_is_ok() -> None:
    """A false alarm costs as much trust as a failure that nobody hears of."""
    assert [fields for fields in OK if outcome(fields) is not Outcome.OK] == []


@pytest.mark.parametrize("fields", UNREADABLE, ids=str)
def test_a_claim_that_cannot_be_read_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(PingError):
        outcome(fields)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        *(("sucess", "success"), ("sucesful", "successful"), ("faild", "failed")),
        *(("FAILDE", "failed"), ("parital", "partial"), ("runing", "running")),
        *(("cancled", "canceled"), ("complet", "complete")),
        *(("uncompleted", None), ("unfinished", None), ("startfail", None)),
        *(("abortd", "aborted"), ("criticl", "critical"), ("nosucess", "no_success")),
        *(
            ("insuccess", None),
            ("in_progres", "in_progress"),
            ("deadbeef", None),
            ("x", None),
        ),
    ],
)
def test_a_hint_is_the_word_that_was_meant_or_none(word: str, near: str | None) -> None:
    assert hint(word) == near


@given(st.text(max_size=12))
def test_no_hint_makes_a_start_or_a_success_of_a_failure(noise: str) -> None:
    for word in ("abort", "critical", "killed", "dead", "failed", "error"):
        near = hint(word + noise)
        assert near is None or STATUSES[near][1] in FAILURES | {Outcome.CANCELED}


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        (
            {"status": "ok", "exit_code": 3},
            "status: 'ok' contradicts exit_code: 3: the worse counts",
        ),
        (
            {"status": "ok", "error": "disk full"},
            "status: 'ok' contradicts error: 'disk full': the worse counts",
        ),
        (
            {"errors": 3},
            "errors: 3 counts as a failure: put it under 'metrics' if it is a measurement",
        ),
    ],
)
def test_a_contradiction_is_warned_about(fields: dict[str, Any], warning: str) -> None:
    assert outcome_claims.read(fields).warnings == (warning,)


@pytest.mark.parametrize(
    "fields",
    [
        {f"field{number}": number for number in range(outcome_claims.MAX_FIELDS + 1)},
        {"a": [{"b": 1}] * outcome_claims.MAX_FIELDS},
        {"a": {"b": dict.fromkeys(map(str, range(outcome_claims.MAX_FIELDS)))}},
    ],
    ids=["fields", "items", "nested"],
)
def test_a_report_of_which_a_part_would_not_be_read_is_refused(
    fields: dict[str, Any],
) -> None:
    with pytest.raises(PingError, match="over 5000 fields"):
        outcome_claims.read(fields)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(NOT_OK), st.dictionaries(st.text(max_size=9), VALUES, max_size=4)
)
def test_nothing_beside_a_failure_makes_it_a_success(
    fields: dict[str, Any], more: dict[str, Any]
) -> None:
    """Unless it says that the run was canceled, or rightly did nothing."""
    try:
        verdict = outcome_claims.read({**more, **fields})
    except PingError:
        return

    assert verdict[:2] != (Kind.FINISH, Outcome.OK)
