"""Schedules and assertions of Cronitor as settings of jobs."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.cronitor import assertion_rule, schedule_settings


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        ("every 5 minutes", {"every": "5m"}),
        ("every hour", {"every": "1h"}),
        ("Every  2 weeks", {"every": "2w"}),
        ("0 2 * * *", {"schedule": "0 2 * * *"}),
    ],
)
def test_a_schedule_is_an_interval_or_a_cron_expression(
    schedule: str, settings: dict[str, str]
) -> None:
    assert schedule_settings(schedule) == settings


@pytest.mark.parametrize(
    ("assertion", "expr"),
    [
        ("metric.count > 0", "count > 0"),
        ("metric.error_count = 0", "error_count == 0"),
        ("metric.duration < 5 min", "duration < 5m"),
        ("metric.duration < 500 ms", "duration < 500ms"),
    ],
)
def test_an_assertion_is_a_rule_for_runs_that_report_the_metric(
    assertion: str, expr: str
) -> None:
    rule, reason = assertion_rule(assertion)

    assert rule == {"expr": expr, "on_missing": "ignore"}
    assert not reason


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        ("metric.count", "write it like"),
        (7, "write it like"),
        ("metric.error_rate < 0.1", "use success_ratio"),
    ],
)
def test_another_assertion_is_refused_with_the_way_out(
    assertion: object, reason: str
) -> None:
    rule, text = assertion_rule(assertion)

    assert rule is None
    assert reason in text
