from __future__ import annotations

from structlog.testing import capture_logs

from afterrun_exporter.ingest.refusals import A_MINUTE, Refusals
from tests.core.jobs import at


def test_a_refused_report_is_told_with_its_reason() -> None:
    with capture_logs() as lines:
        Refusals().tell(
            at("22 02:00"),
            dialect="native",
            job="backup",
            reason="the report is not JSON",
        )

    assert lines == [
        {
            "event": "ping_refused",
            "log_level": "warning",
            "dialect": "native",
            "job": "backup",
            "reason": "the report is not JSON",
        }
    ]


def test_a_client_gone_wild_does_not_drown_the_log() -> None:
    refusals = Refusals()
    with capture_logs() as lines:
        for _ in range(1000):
            refusals.tell(at("22 02:00:01"), reason="not JSON")
        refusals.tell(at("22 02:01:00"), reason="not JSON")

    assert len(lines) == A_MINUTE + 2
    assert lines[-2]["more"] == 1000 - A_MINUTE
