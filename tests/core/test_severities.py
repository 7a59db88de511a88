"""Alerts of a job have the severity of their condition, in every place alike."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.alert_settings import alert_settings
from afterrun_exporter.core.model import Condition, Job, Outcome
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.severities import severities, severity_of
from afterrun_exporter.core.state import AlertOpened
from tests.copies import replace
from tests.core.jobs import Night

RULES = (
    parse_rule("rows > 0"),
    replace(parse_rule("size > 0"), severity="page"),
)
JOB = Job(
    name="backup",
    severity="critical",
    severities=(
        (Condition.FAILING, "high"),
        (Condition.VIOLATED, "medium"),
        (Condition.OVERRUNNING, "low"),
    ),
    rules=RULES,
    max_runtime=60.0,
)


@pytest.mark.parametrize(
    ("condition", "rule", "expected"),
    [
        (Condition.FAILING, "", "high"),
        (Condition.VIOLATED, "rows > 0", "medium"),
        (Condition.VIOLATED, "size > 0", "page"),
        (Condition.SLOW, "", "critical"),
        (Condition.UPSTREAM_UNHEALTHY, "", "none"),
        (Condition.SUCCEEDED, "", "none"),
    ],
)
def test_a_rule_wins_over_its_condition_and_that_over_the_job(
    condition: Condition, rule: str, expected: str
) -> None:
    assert severity_of(JOB, condition, rule) == expected


def test_all_severities_of_a_job_are_known() -> None:
    assert severities(JOB) == {"critical", "high", "medium", "low", "page"}


def test_alerts_are_opened_with_the_severity_of_their_condition() -> None:
    night = Night(JOB).start("22 02:00").clock("22 02:10")
    night.ping("22 02:11", outcome=Outcome.FAIL)
    night.ping("22 02:12", run_id="2", metrics={"rows": 0.0, "size": 0.0})

    opened = [
        (one.key.condition, one.key.rule, one.severity)
        for one in night.alerts
        if isinstance(one, AlertOpened)
    ]
    assert opened == [
        (Condition.OVERRUNNING, "", "low"),
        (Condition.FAILING, "", "high"),
        (Condition.VIOLATED, "rows > 0", "medium"),
        (Condition.VIOLATED, "size > 0", "page"),
    ]


def test_settings_have_the_severities() -> None:
    assert [(one, severity) for one, _, severity in alert_settings(JOB)] == [
        (Condition.FAILING, "high"),
        (Condition.VIOLATED, "medium"),
        (Condition.VIOLATED, "page"),
        (Condition.OVERRUNNING, "low"),
    ]
