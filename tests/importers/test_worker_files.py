"""A worker's scheduler.yaml and alerts.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.importers.alerts_yaml import read
from afterrun_exporter.importers.model import Imported, InputFile
from afterrun_exporter.importers.writing import render
from tests.examples import examples
from tests.importers import results

SCHEDULER = """\
schedules:
  # Daily Questmaster
  - jobId: daily.questmaster
    schedule: "0 9 * * *"  # Every day at 9:00 AM
    enabled: true
    timezone: "America/New_York"
    description: "Daily quest unlocking and deck generation"
    input:
      orgId: "default-org"

  - jobId: github.sync
    schedule: "*/15 * * * *"
    enabled: false
    timezone: "UTC"
"""
ALERTS = """\
settings:
  enabled: true
  channels: [slack]
  slack:
    channel: "#worker-alerts"
  throttle:
    minInterval: 300
    maxAlertsPerJobPerHour: 10

jobFailures:
  - name: "repeated-failures"
    description: "Alert when a job fails multiple times in a row"
    enabled: true
    conditions:
      consecutiveFailures: 3
    severity: "high"
    channels: ["slack"]
  - name: "critical-job-failure"
    enabled: true
    conditions:
      jobPattern: "questmaster|sprintplanner"
      failureCount: 1
    severity: "critical"
    channels: ["slack"]

queueHealth:
  - name: "dlq-jobs"
    enabled: true
    conditions:
      dlqSize: 1
    severity: "high"
  - name: "queue-backlog"
    enabled: true
    conditions: {pendingJobs: 50}
    severity: "medium"
  - name: "queue-paused"
    enabled: true
    conditions: {mode: paused}
    severity: "medium"
  - name: "delayed-jobs"
    enabled: false
    conditions: {delayedJobs: 20}

performance:
  - name: "low-success-rate"
    enabled: true
    conditions: {jobPattern: ".*", successRate: 0.8, timeWindow: 3600, minRuns: 5}
    severity: "medium"
  - name: "duration-spike"
    enabled: true
    conditions: {jobPattern: ".*", durationIncrease: 2.0, timeWindow: 3600, minRuns: 3}
    severity: "low"
"""


def imported(*texts: str) -> Imported:
    return results.imported(read, *texts)


def schedules(*entries: dict[str, Any]) -> str:
    return json.dumps({"schedules": [{"enabled": True, **one} for one in entries]})


def rule(section: str, conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {section: [{"name": "r", "enabled": True, "conditions": conditions, **more}]}


def alerts(*rules: dict[str, Any], **sections: Any) -> str:
    """Return an alerts.yaml with *rules*, and with settings."""
    data: dict[str, Any] = {"settings": {"enabled": True}, **sections}
    for one in rules:
        for section, items in one.items():
            data.setdefault(section, []).extend(items)
    return json.dumps(data)


def policies(result: Imported) -> list[dict[str, Any]]:
    return [dict(one.settings) for one in result.policies]


def test_a_documented_scheduler_file_is_imported() -> None:
    result = imported(SCHEDULER)

    assert results.reports(result) == []
    assert results.settings(result) == {
        "daily.questmaster": {
            "description": "Daily quest unlocking and deck generation",
            "schedule": "0 9 * * *",
            "timezone": "America/New_York",
        },
        "github.sync": {
            "schedule": "*/15 * * * *",
            "timezone": "UTC",
            "enabled": False,
        },
    }
    assert [str(job.source) for job in result.jobs] == ["input:3", "input:11"]
    comments = "\n".join(result.jobs[0].comments)
    assert "orgId" in comments
    assert "default-org" not in comments


def test_both_documented_files_together_are_a_whole_configuration() -> None:
    result = imported(SCHEDULER, ALERTS)

    assert results.reports(result) == []
    assert result.sections == {
        "alertmanager": {
            "slack_url_file": "secrets/slack_url",
            "receivers": {"slack": [{"slack": {"channel": "#worker-alerts"}}]},
            "receiver": "slack",
            "group_by": ["job_name"],
            "group_interval": "6m",
        }
    }
    assert policies(result) == [
        {
            "match": {"name": "[.]"},
            "alerts": {
                "after_failures": 3,
                "success_ratio": {
                    "below": "80%",
                    "over": "1h",
                    "min_runs": 5,
                    "severity": "medium",
                },
                "slower_than": {
                    "factor": 2,
                    "over": "1h",
                    "min_runs": 3,
                    "severity": "low",
                },
                "severity": {"failing": "high"},
            },
        },
        {
            "match": {"name": "questmaster|sprintplanner"},
            "alerts": {"after_failures": 1, "severity": {"failing": "critical"}},
        },
    ]
    assert results.settings(result)["queue-health"] == {
        "description": "State of the queue",
        "every": "1m",
        "grace": "5m",
        "severity": "high",
        "rules": [
            {"expr": "dlq_size <= 0", "name": "dlq-jobs", "severity": "high"},
            {
                "expr": "pending_jobs < 50",
                "name": "queue-backlog",
                "severity": "medium",
            },
            {"expr": "paused == 0", "name": "queue-paused", "severity": "medium"},
        ],
        "alerts": {"after_failures": 1},
    }
    assert "repeated-failures: Alert when a job fails" in result.policies[0].comments[0]
    assert str(result.policies[1].source).startswith("input1:20")


def test_the_order_of_the_files_does_not_matter() -> None:
    one, two = imported(SCHEDULER, ALERTS), imported(ALERTS, SCHEDULER)

    assert (one.jobs[0].settings, policies(one)) == (
        two.jobs[0].settings,
        policies(two),
    )


def test_without_the_jobs_a_rule_for_all_is_for_all() -> None:
    assert policies(imported(ALERTS))[0]["match"] == {"name": ".*"}


@pytest.mark.parametrize(
    ("entry", "report"),
    [
        ({"jobId": "a", "schedule": "0 9 * * *", "retries": 3}, "schedules[0].retries: 3: unknown key"),
        ({"jobId": "a", "schedule": "0 9 * * *", "timzone": "UTC"}, "did you mean 'timezone'?"),
        ({"jobId": "a", "schedule": "0 25 * * *"}, "hour '25' is out of range"),
        ({"jobId": "a", "schedule": "30 0 9 * * *"}, "has 6 fields"),
        ({"jobId": "a"}, "schedules[0].schedule: is missing"),
        ({"jobId": "a", "schedule": "0 9 * * *", "timezone": "Mars/X"}, "unknown time zone 'Mars/X'"),
        ({"jobId": "a", "schedule": "0 9 * * *", "enabled": "yes"}, "expected true or false, not 'yes'"),
        ({"jobId": "a", "schedule": "0 9 * * *", "enabled": None}, "enabled: is missing"),
        ({"jobId": 5, "schedule": "0 9 * * *"}, "expected text, not 5: put it in quotes"),
        ({"schedule": "0 9 * * *"}, "schedules[0]: has no jobId"),
        ({"jobId": "a", "schedule": "0 9 * * *", "queueOptions": {"priority": "high"}}, "is for the queue"),
    ],
)  # fmt: skip
def test_an_entry_of_a_schedule_that_is_not_understood_is_reported(
    entry: dict[str, Any], report: str
) -> None:
    found = results.reports(imported(schedules(entry)))

    assert any(report in one for one in found), found


def test_attempts_of_the_queue_are_those_of_the_job() -> None:
    text = schedules(
        {"jobId": "a b", "schedule": "@daily", "queueOptions": {"maxAttempts": 5}}
    )

    result = imported(text)

    assert results.settings(result)["a-b"]["max_attempts"] == 5
    assert "jobId a b" in result.jobs[0].comments


def test_a_job_with_several_schedules_has_a_list_of_them() -> None:
    text = schedules(
        {"jobId": "a", "schedule": "0 9 * * *"},
        {"jobId": "b", "schedule": "@daily"},
        {"jobId": "a", "schedule": "0 18 * * *"},
        {"jobId": "a", "schedule": "0 9 * * *"},
        {"jobId": "a", "schedule": "0 12 * * *", "timezone": "Europe/Riga"},
        {"jobId": "a", "schedule": "0 20 * * *", "enabled": False},
    )

    result = imported(text)

    assert results.settings(result)["a"]["schedule"] == ["0 9 * * *", "0 18 * * *"]
    assert "a job has one time zone, and this one has UTC" in results.reports(result)[0]
    assert any(
        "also scheduled at '0 20 * * *'" in one for one in result.jobs[0].comments
    )


@pytest.mark.parametrize(
    ("given_rule", "expected"),
    [
        (rule("jobFailures", {"consecutiveFailures": 2}), {"after_failures": 2}),
        (rule("jobFailures", {"failureCount": 1}), {"after_failures": 1}),
        (
            rule("jobFailures", {"consecutiveFailures": 2}, severity="critical"),
            {"after_failures": 2, "severity": {"failing": "critical"}},
        ),
        (
            rule("performance", {"jobPattern": "", "successRate": 1, "timeWindow": 90, "minRuns": 1}),
            {"success_ratio": {"below": "100%", "over": "1m30s", "min_runs": 1}},
        ),
        (
            rule("performance", {"durationIncrease": 1.5}, severity="low"),
            {"slower_than": {"factor": 1.5, "severity": "low"}},
        ),
    ],
)  # fmt: skip
def test_conditions_become_those_of_a_policy(
    given_rule: dict[str, Any], expected: dict[str, Any]
) -> None:
    result = imported(alerts(given_rule))

    assert results.reports(result) == []
    assert policies(result) == [{"match": {"name": ".*"}, "alerts": expected}]


@pytest.mark.parametrize(
    ("one", "report"),
    [
        (rule("jobFailures", {"failureCount": 5}), "conditions.failureCount: 5: counts all failures"),
        (rule("jobFailures", {"failureReason": "timeout"}), "set that of the jobs"),
        (rule("jobFailures", {"failureReason": "oom"}), "not told apart by their message"),
        (rule("jobFailures", {"consecutiveFailures": 0}), "a whole number from 1 on"),
        (rule("jobFailures", {"consecutiveFailures": "3"}), "expected a number, not '3'"),
        (rule("jobFailures", {"consecutiveFailure": 3}), "did you mean 'consecutiveFailures'?"),
        (rule("jobFailures", {"jobPattern": "(?!a)", "consecutiveFailures": 3}), "RE2 has no lookahead"),
        (rule("jobFailures", {"jobPattern": "(", "consecutiveFailures": 3}), "the rule is not imported"),
        (rule("jobFailures", {"consecutiveFailures": 3}, severity="hi!"), "is not a severity"),
        (rule("jobFailures", {"consecutiveFailures": 3}, severity="criticl"), "unknown severity 'criticl'"),
        (rule("jobFailures", {"consecutiveFailures": 3}, cooldown=5), "unknown key"),
        (rule("queueHealth", {"mode": "stopped"}), "use one of paused, draining"),
        (rule("queueHealth", {"dlqSize": 1.5}), "expected a whole number"),
        (rule("performance", {"successRate": 80}), "is not more than 0 and at most 1"),
        (rule("performance", {"successRate": 0.8, "timeWindow": 10**7}), "is longer than runs are kept"),
        (rule("performance", {"durationIncrease": 1}), "is not a factor above 1"),
        (rule("performance", {"concurrencyUtilization": 0.9}), "how busy the worker is"),
        (rule("performance", {"duration": 300}), "an alert opens at once"),
        (rule("dependencies", {"hasDependencies": True}), "write depends_on for each"),
        ({"jobFailures": ["x"]}, "jobFailures[0]: expected keys and values, not 'x'"),
    ],
)  # fmt: skip
def test_what_a_rule_cannot_express_here_is_reported(
    one: dict[str, Any], report: str
) -> None:
    found = results.reports(imported(alerts(one)))

    assert any(report in text for text in found), found


@pytest.mark.parametrize(
    ("settings", "report"),
    [
        ({"slack": {"username": "Bot"}}, "settings.slack.username: 'Bot': is set with the incoming webhook"),
        ({"discord": {"avatarUrl": "x"}}, "in Discord"),
        ({"channels": ["pager"]}, "unknown channel 'pager'"),
        ({"channels": ["email"]}, "has no address in to"),
        ({"channels": ["email"], "email": {"to": "nobody"}}, "settings.email"),
        ({"channels": ["slack"], "slack": {"channel": "{{ x }}"}}, "settings.slack"),
        ({"channels": "slack"}, "expected a list of texts"),
        ({"throttle": {"minInterval": 0}}, "expected seconds"),
        ({"throttle": {"burst": 5}}, "unknown key"),
        ({"enabled": False}, "all alerts are off"),
        ({"chanels": []}, "did you mean 'channels'?"),
    ],
)  # fmt: skip
def test_settings_that_have_no_equivalent_are_reported(
    settings: dict[str, Any], report: str
) -> None:
    found = results.reports(imported(alerts(settings={"enabled": True, **settings})))

    assert any(report in text for text in found), found


def test_every_channel_becomes_a_receiver() -> None:
    text = alerts(
        rule("jobFailures", {"consecutiveFailures": 3, "jobPattern": "^x"}, channels=["email"], severity="high"),
        rule("queueHealth", {"dlqSize": 1}, channels=["discord", "email"]),
        rule("performance", {"successRate": 0.5}, channels=["discord", "slack"]),
        settings={
            "channels": ["slack", "discord"],
            "email": {"to": ["a@example.com", "b@example.com"], "from": "c@example.com"},
        },
    )  # fmt: skip

    result = imported(text)

    assert results.reports(result) == []
    assert result.sections["alertmanager"] == {
        "slack_url_file": "secrets/slack_url",
        "smtp": {"from": "c@example.com"},
        "receivers": {
            "default": [
                {"slack": {}},
                {"discord": {"url_file": "secrets/discord_url"}},
            ],
            "slack": [{"slack": {}}],
            "discord": [{"discord": {"url_file": "secrets/discord_url"}}],
            "email": [{"email": "a@example.com, b@example.com"}],
        },
        "receiver": "default",
        "routes": [
            {
                "match": {"severity": "high", "alert": ["failing"], "job": "^x"},
                "receivers": ["email"],
            },
            {
                "match": {"alert": ["violated"], "job": "^queue-health"},
                "receivers": ["discord", "email"],
            },
        ],
    }


@pytest.mark.parametrize(
    ("throttle", "expected"),
    [
        ({"minInterval": 300}, {"group_by": ["alertname", "job_name"], "group_interval": "5m"}),
        ({"maxAlertsPerJobPerHour": 7}, {"group_by": ["job_name"], "group_interval": "8m35s"}),
        ({"minInterval": 900, "maxAlertsPerJobPerHour": 10}, {"group_by": ["job_name"], "group_interval": "15m"}),
        ({"minInterval": 86400}, {"group_by": ["alertname", "job_name"], "group_interval": "1d", "repeat_interval": "1d"}),
    ],
)  # fmt: skip
def test_the_throttle_is_the_interval_of_a_group(
    throttle: dict[str, Any], expected: dict[str, Any]
) -> None:
    result = imported(alerts(settings={"throttle": throttle}))

    assert result.sections == {"alertmanager": expected}


def test_the_lowest_number_of_failures_wins_and_a_lost_alert_is_reported() -> None:
    text = alerts(
        rule("jobFailures", {"consecutiveFailures": 1}, severity="low"),
        rule("jobFailures", {"consecutiveFailures": 5}, severity="critical"),
        rule("jobFailures", {"consecutiveFailures": 3, "jobPattern": "^x"}, severity="high"),
    )  # fmt: skip

    result = imported(text)

    assert [one["alerts"]["after_failures"] for one in policies(result)] == [1, 1]
    assert policies(result)[1]["alerts"]["severity"] == {"failing": "low"}
    assert len(result.unmapped) == 2


def test_severities_of_other_conditions_stay_when_a_pattern_sets_its_own() -> None:
    """A later policy replaces `alerts.severity` as a whole."""
    text = alerts(
        rule("jobFailures", {"failureReason": "timeout"}, severity="medium"),
        rule("jobFailures", {"failureCount": 1, "jobPattern": "^x"}, severity="high"),
    )

    severities = [one["alerts"]["severity"] for one in policies(imported(text))]

    assert severities == [
        {"overrunning": "medium"},
        {"overrunning": "medium", "failing": "high"},
    ]


def test_a_pattern_that_matches_no_job_is_reported() -> None:
    text = alerts(rule("jobFailures", {"failureCount": 1, "jobPattern": "^quest"}))

    result = imported(SCHEDULER, text)

    assert "matches none of the imported jobs" in results.reports(result)[0]
    assert len(result.policies) == 1


def test_the_queue_job_leaves_the_name_of_another_job_alone() -> None:
    text = alerts(rule("queueHealth", {"dlqSize": 1}))

    result = imported(schedules({"jobId": "queue-health", "schedule": "@daily"}), text)

    assert list(results.settings(result)) == ["queue-health", "queue-health-2"]


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("", "input: the file: has none of schedules, settings"),
        ("hello\n", "input: the file: has none of"),
        ("schedule: []\n", "input: the file: has none of"),
        ("schedules: 5\n", "schedules: 5: expected a list, not 5"),
        ("schedules: []\nextra: 1\n", "extra: 1: unknown key"),
        ("schedules: [\n", "not YAML"),
        ("schedules: &a [*a]\n", "the alias has no anchor before it"),
        ("a: {{ b }}\n", "a key is plain text"),
        ("schedules:\n  - {jobId: a, jobId: b, schedule: '@daily', enabled: true}\n", "duplicate key"),
    ],
)  # fmt: skip
def test_files_that_are_something_else_are_reported(text: str, report: str) -> None:
    found = results.reports(imported(text))

    assert any(report in one for one in found), found


def test_a_job_that_is_in_two_files_is_that_of_the_first() -> None:
    result = imported(SCHEDULER, SCHEDULER)

    assert len(result.jobs) == 2
    assert "is in an earlier file" in results.reports(result)[0]


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10**10)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["high", "slack", "email", "^a", "paused", "timeout", "UTC", "0 9 * * *"])
    | st.lists(st.sampled_from(["slack", "email", "discord", "x", 5]), max_size=3)
    | st.dictionaries(st.sampled_from(["channel", "to", "from", "minInterval"]), st.text(max_size=5), max_size=2)
)  # fmt: skip
conditions = st.dictionaries(
    st.sampled_from(
        [
            "consecutiveFailures", "failureCount", "failureReason", "jobPattern", "dlqSize",
            "pendingJobs", "mode", "successRate", "durationIncrease", "timeWindow", "minRuns",
            "duration", "hasDependencies",
        ]
    ),
    scalars,
    max_size=5,
)  # fmt: skip
rules = st.fixed_dictionaries(
    {"conditions": conditions},
    optional=dict.fromkeys(("name", "severity", "channels", "enabled", "description"), scalars),
)  # fmt: skip
files = st.fixed_dictionaries(
    {},
    optional={
        "settings": st.dictionaries(
            st.sampled_from(["channels", "slack", "email", "discord", "throttle", "enabled"]),
            scalars,
        ),
        "schedules": st.lists(
            st.dictionaries(
                st.sampled_from(["jobId", "schedule", "timezone", "enabled", "input", "description"]),
                scalars,
            ),
            max_size=3,
        ),
        **{
            key: st.lists(rules, max_size=3)
            for key in ("jobFailures", "queueHealth", "performance", "dependencies")
        },
    },
)  # fmt: skip


@settings(max_examples=examples(60), deadline=None)
@given(files)
def test_any_values_become_a_valid_file(data: dict[str, Any]) -> None:
    imported(json.dumps(data))


@settings(max_examples=examples(50), deadline=None)
@given(st.text(max_size=60).map(lambda text: f"schedules:\n{text}") | st.text())
def test_any_text_is_read(text: str) -> None:
    render(read([InputFile("input", text)]))


def test_the_example_of_a_translation_has_the_same_rules() -> None:
    """examples/queue-health.yml is written by hand."""
    example = (Path(__file__).parents[2] / "examples" / "queue-health.yml").read_text()

    for one in results.settings(imported(ALERTS))["queue-health"]["rules"]:
        assert f"expr: {one['expr']}, name: {one['name']}" in example
