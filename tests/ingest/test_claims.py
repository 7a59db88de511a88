"""A report is ok only if nothing in it says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.core.model import FAILURES, Kind, Outcome
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import reports
from tests.ingest.claimed_outcomes import NOT_OK, OK, UNREADABLE


def outcome(fields: dict[str, Any]) -> Outcome:
    ping, _ = reports.ping_of("job", fields, at=0.0, fingerprint=b"", metrics_limit=50)
    return ping.outcome if ping.kind is Kind.FINISH else Outcome.INVALID


@pytest.mark.parametrize("fields", NOT_OK, ids=str)
def test_a_report_that_says_otherwise_is_not_ok(fields: dict[str, Any]) -> None:
    assert outcome(fields) in FAILURES


@pytest.mark.parametrize("fields", OK, ids=str)
def test_a_report_that_says_nothing_bad_is_ok(fields: dict[str, Any]) -> None:
    """A false alarm costs as much trust as a failure that nobody hears of."""
    assert outcome(fields) is Outcome.OK


@pytest.mark.parametrize("fields", UNREADABLE, ids=str)
def test_a_claim_that_cannot_be_read_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(PingError):
        outcome(fields)
