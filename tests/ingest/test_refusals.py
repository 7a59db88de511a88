from __future__ import annotations

from structlog.testing import capture_logs

from afterrun_exporter.auth.refusal_log import A_MINUTE, ALTOGETHER, RefusalLog
from tests.core.jobs import at


def test_a_refused_report_is_told_with_its_reason() -> None:
    with capture_logs() as lines:
        RefusalLog().log_refusal(
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
    """That there is more is said at once, and how much in the next minute."""
    refusals = RefusalLog()
    with capture_logs() as lines:
        for _ in range(1000):
            refusals.log_refusal(at("22 02:00:01"), source="wild", reason="not JSON")
        refusals.log_refusal(at("22 02:01:00"), source="wild", reason="not JSON")

    events = [line["event"] for line in lines]
    assert events == [
        *["ping_refused"] * A_MINUTE,
        "refusals_muted",
        "more_refused",
        "ping_refused",
    ]
    assert lines[A_MINUTE]["source"] == "wild"
    assert lines[-2]["more"] == 1000 - A_MINUTE


def test_a_client_gone_wild_does_not_hide_the_others() -> None:
    refusals = RefusalLog()
    for _ in range(1000):
        refusals.log_refusal(at("22 02:00:01"), source="wild", reason="not JSON")

    with capture_logs() as lines:
        refusals.log_refusal(at("22 02:00:02"), source="other", reason="not JSON")

    assert [line["event"] for line in lines] == ["ping_refused"]


def test_neither_do_a_thousand_of_them_drown_it() -> None:
    refusals = RefusalLog()
    with capture_logs() as lines:
        for sender in range(1000):
            refusals.log_refusal(
                at("22 02:00:01"), source=str(sender), reason="not JSON"
            )

    assert len(lines) == ALTOGETHER + 1
