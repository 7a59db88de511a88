"""What Alertmanager is posted: the labels and sentences of the alerting rules."""

from __future__ import annotations

import json
from typing import Any

from afterrun_exporter.alertmanager import alerts
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.notifications import AlertNotification, Stage
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.state import AlertOpened
from tests.copies import replace
from tests.core.jobs import BACKUP, Night, at

URL = "https://afterrun.example"
ADDED = (("job", "afterrun"), ("cluster", "eu"))
JOB = replace(
    BACKUP,
    labels=(("team", "data"), ("area", "")),
    rules=(replace(parse_rule("rows > 0"), severity="critical"),),
)


def posted(
    notice: AlertNotification, stage: Stage = Stage.FIRING, now: str = "22 02:06"
) -> dict[str, Any]:
    return alerts.message(notice, stage, at(now), at("22 02:10"), URL, {})


def opened(night: Night) -> list[AlertNotification]:
    return [
        alerts.opened_notification("backup", event, ADDED)
        for event in night.alerts
        if isinstance(event, AlertOpened)
    ]


def test_a_violated_rule_has_the_labels_of_its_gauge() -> None:
    """And those that Prometheus adds; a label without a value does not exist."""
    night = Night(JOB).ping("22 02:00", metrics={"rows": 0.0})

    (notice,) = opened(night)

    assert json.loads(notice.labels) == {
        "alertname": "AfterRunJobRuleViolated",
        "job": "afterrun",
        "cluster": "eu",
        "job_name": "backup",
        "severity": "critical",
        "team": "data",
        "rule": "rows > 0",
        "metric": "rows",
    }


def test_a_failing_job_has_no_rule() -> None:
    night = Night(JOB).fail("22 02:00", message="disk full")

    (notice,) = opened(night)

    assert posted(notice) == {
        "labels": {
            "alertname": "AfterRunJobFailing",
            "job": "afterrun",
            "cluster": "eu",
            "job_name": "backup",
            "severity": "warning",
            "team": "data",
        },
        "annotations": {
            "summary": "A job is failing.",
            "description": "backup: the last run ended with fail: disk full.",
            "page_url": f"{URL}/jobs/backup",
            "runbook_url": f"{URL}/jobs/backup/runbook#afterrunjobfailing",
        },
        "startsAt": "2026-11-22T02:00:00.000Z",
        "endsAt": "2026-11-22T02:10:00.000Z",
        "generatorURL": f"{URL}/jobs/backup",
    }


def test_a_failure_says_that_a_run_timed_out() -> None:
    """And once more where it did later: an alert has its labels for ever."""
    night = Night(JOB).fail("22 02:00").ping("22 02:10", outcome=Outcome.TIMEOUT)

    first, second = opened(night)

    assert json.loads(second.labels) == json.loads(first.labels) | {"timed_out": "true"}
    assert first.opened_at == second.opened_at
    assert "the last run ended with timeout" in second.summary
    (held,) = alerts.holding(JOB, night.state, ADDED)
    assert held.labels == second.labels


def test_an_end_is_told_with_its_own_time() -> None:
    (notice,) = opened(Night(JOB).fail("22 02:00"))
    over = replace(notice, resolved_at=at("22 02:05"))

    assert posted(over, Stage.RESOLVED)["endsAt"] == "2026-11-22T02:05:00.000Z"
    assert posted(over)["endsAt"] == "2026-11-22T02:10:00.000Z"


def test_nothing_is_told_to_have_happened_later_than_now() -> None:
    """The clock may have been set back. Alertmanager refuses what ends before it starts."""
    (notice,) = opened(Night(JOB).fail("22 02:00"))
    over = replace(notice, resolved_at=at("22 02:05"))

    assert posted(over, now="22 01:00")["startsAt"] == "2026-11-22T01:00:00.000Z"
    ended = posted(over, Stage.RESOLVED, now="22 01:00")
    assert ended["startsAt"] == ended["endsAt"] == "2026-11-22T01:00:00.000Z"


def test_what_holds_is_told_by_the_same_labels_as_what_opens() -> None:
    """After a reload labels are worked out anew, and must not seem to have changed."""
    night = Night(JOB).ping("22 02:00", metrics={"rows": 0.0})
    night.ping("22 02:01", outcome=Outcome.FAIL, metrics={})
    night.clock("23 09:00")

    holding = alerts.holding(JOB, night.state, ADDED)

    assert len(holding) == 3
    assert {n.labels for n in holding} == {n.labels for n in opened(night)}
