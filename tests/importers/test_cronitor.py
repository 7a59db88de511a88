"""Monitors of Cronitor become jobs, from each layout of its files."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import parse
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers.cronitor import read
from afterrun_exporter.importers.model import Imported, InputFile
from afterrun_exporter.importers.writing import render, validated

FILE: Final = """
jobs:
  nightly-report:
    name: Nightly report
    note: Sends the figures of the day
    schedule: '0 2 * * *'
    timezone: Europe/Riga
    grace_seconds: 900
    failure_tolerance: 2
    group: reports
    tags: [finance, 7]
    assertions:
      - metric.duration < 5 min
      - metric.count > 0
      - metric.error_count <= 10
  welcome-email:
    schedule: 'every 10 minutes'
checks:
  homepage:
    request: {url: 'https://example.com', headers: {Authorization: Bearer SECRET}}
    assertions: ['response.time < 2s']
heartbeats:
  deploys:
"""


def imported(text: str, name: str = "cronitor.yaml") -> Imported:
    return read([InputFile(name, text)])


def of_job(**attributes: Any) -> Imported:
    """Return the import of one job with *attributes*."""
    return imported(json.dumps({"jobs": {"backup": attributes}}, indent=1))


def settings(**attributes: Any) -> dict[str, Any]:
    (job,) = of_job(**attributes).jobs
    return dict(job.settings)


def reports(**attributes: Any) -> list[str]:
    return list(map(str, of_job(**attributes).unmapped))


def test_monitors_are_jobs() -> None:
    report, mail, deploys = imported(FILE).jobs

    assert (report.name, str(report.source)) == ("nightly-report", "cronitor.yaml:3")
    assert report.settings == {
        "display_name": "Nightly report",
        "description": "Sends the figures of the day",
        "schedule": "0 2 * * *",
        "timezone": "Europe/Riga",
        "grace": "15m",
        "alerts": {"after_failures": 3},
        "rules": [
            {"expr": "duration < 5m", "on_missing": "ignore"},
            {"expr": "count > 0", "on_missing": "ignore"},
            {"expr": "error_count <= 10", "on_missing": "ignore"},
        ],
        "project": "reports",
        "tags": ["finance", "7"],
    }
    assert (mail.name, mail.settings) == ("welcome-email", {"every": "10m"})
    assert (deploys.name, deploys.settings) == ("deploys", {})


def test_requests_to_websites_are_reported() -> None:
    """Without their contents, in which are secrets."""
    (report,) = map(str, imported(FILE).unmapped)

    assert report.startswith(
        "cronitor.yaml:19: homepage: type: 'check': AfterRun sends"
    )
    assert "SECRET" not in report


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("monitors: [{key: a, type: job, schedule: every 5 minutes}]", "a"),
        ("jobs: [{key: a, schedule: every 5 minutes}]", "a"),
        ("events: {a: {schedule: every 5 minutes}}", "a"),
        ("heartbeats: {a: {schedule: [every 5 minutes]}}", "a"),
        ("- {key: a, schedules: [every 5 minutes]}", "a"),
        ('{"monitors": [{"key": "a", "schedule": "every 5 minutes"}], "page": 1}', "a"),
        ('{"key": "a", "type": "job", "schedule": "every 5 minutes"}', "a"),
        ('[{"code": "d3x0c1", "type": "cron", "schedule": "every 5 min"}]', "d3x0c1"),
    ],
)
def test_every_layout_is_read(text: str, name: str) -> None:
    (job,) = imported(text).jobs

    assert (job.name, job.settings) == (name, {"every": "5m"})
    assert job.source.line == 1


def test_rules_of_the_first_api_are_mapped() -> None:
    """A schedule or a period, and limits of the duration; the others are reported."""
    result = imported(
        json.dumps(
            {
                "type": "heartbeat",
                "code": "d3x0c1",
                "name": "Nightly DB Backup",
                "timezone": "America/New_York",
                "rules": [
                    {"rule_type": "not_on_schedule", "value": "0 0 * * *"},
                    {"rule_type": "ran_longer_than", "value": 2, "time_unit": "hours"},
                    {"rule_type": "ran_less_than", "value": 5, "time_unit": "seconds"},
                    {"rule_type": "something_else", "value": 1},
                ],
                "notifications": {"emails": ["ops@example.com"], "phones": []},
            }
        )
    )
    (job,) = result.jobs

    assert job.settings["schedule"] == "0 0 * * *"
    assert job.settings["timezone"] == "America/New_York"
    assert job.settings["rules"] == [
        {"expr": "duration <= 2h", "on_missing": "ignore"},
        {"expr": "duration >= 5s", "on_missing": "ignore"},
    ]
    assert [str(one).partition(": ")[2][:50] for one in result.unmapped] == [
        "d3x0c1: rules: 'something_else 1 seconds': AfterRun h"[:50],
        "d3x0c1: notifications: 'emails: ops@example.com': ad"[:50],
    ]


def test_other_pages_of_the_api_are_missed() -> None:
    page = {"monitors": [{"key": "a"}], "page_size": 50, "total_monitor_count": 120}

    (report,) = imported(json.dumps(page)).unmapped

    assert report.text == "monitors: 1 of 120"


def test_clients_that_report_to_an_odd_key_go_on_working() -> None:
    """The daemon finds a job by its display name, too."""
    (job,) = imported('jobs: {"Send mail!": {name: Mails}}').jobs

    assert (job.name, job.settings) == ("Send-mail", {"display_name": "Send mail!"})
    assert job.comments == ("name: Mails",)


def test_tolerated_misses_of_an_interval_are_a_longer_grace() -> None:
    """The default of a job's grace is a minute, that of a heartbeat none."""
    assert settings(schedule="every 1 hour", schedule_tolerance=2)["grace"] == "2h1m"
    found = settings(schedule="every 1 hour", schedule_tolerance=1, grace_seconds=30)
    assert found["grace"] == "1h30s"
    (beat,) = imported(
        "heartbeats: {a: {schedule: every day, schedule_tolerance: 1}}"
    ).jobs
    assert beat.settings["grace"] == "1d"


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"schedule": "0 2 * * *", "schedule_tolerance": 1}, "schedule_tolerance: 1"),
        ({"assertions": ["metric.error_rate < 0.1"]}, "assertions: 'metric.error_rate"),
        ({"assertions": ["response.code = 200"]}, "assertions: 'response.code"),
        ({"assertions": [5]}, "assertions: 5"),
        ({"notify": ["devops"]}, "notify: 'devops'"),
        ({"notify": {"alerts": ["devops"]}}, "notify: 'devops'"),
        (
            {"notify": {"events": {"complete": True}}},
            "notify: 'events: complete: true'",
        ),
        ({"realert_interval": "every 8 hours"}, "realert_interval: 'every 8 hours'"),
        ({"consecutive_alert_threshold": 5}, "consecutive_alert_threshold: '5'"),
        ({"environments": ["production", "test"]}, "environments: 'production, test'"),
        ({"metadata": {"a": "b"}}, "metadata: keys and values"),
        ({"grace_seconds": "5m"}, "grace_seconds: '5m'"),
        ({"failure_tolerance": True}, "failure_tolerance: true"),
        ({"schedules": ["every hour", "0 1 * * *"]}, "schedules: 'every hour, 0 1"),
        ({"schedule": "at 12:00"}, "schedule: at 12:00"),
        ({"timezone": "Mars", "schedule": "0 1 * * *"}, "timezone: Mars"),
        ({"name": 5}, "name: 5"),
    ],
)
def test_what_has_no_equivalent_is_reported(
    attributes: dict[str, Any], text: str
) -> None:
    report = reports(**attributes)[0]

    assert report.startswith("cronitor.yaml:3: backup: " + text)
    assert len(of_job(**attributes).jobs) == 1


def test_several_cron_expressions_are_a_list() -> None:
    """Each once, although the API repeats the first one."""
    found = settings(schedules=["0 1 * * *", "0  2 * * *"], schedule="0 1 * * *")

    assert found["schedule"] == ["0 1 * * *", "0 2 * * *"]


def test_an_invalid_item_costs_no_other() -> None:
    """Whatever their number."""
    tags = [f"t{n}" if n not in {2, 9, 10} else f"t{n}\x07" for n in range(12)]

    found = settings(tags=tags)

    assert found["tags"] == [f"t{n}" for n in range(12) if n not in {2, 9, 10}]
    assert len(reports(tags=tags)) == 3


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        ("15min", "15m"),
        ("2 minutes", "2m"),
        ("1.5 hours", "1.5h"),
        ("3 hrs", "3h"),
        ("90", "90"),
        ("500 ms", "500ms"),
        ("2 days", "2d"),
        ("30 secs", "30s"),
    ],
)
def test_limits_are_written_in_many_ways(value: str, bound: str) -> None:
    found = settings(assertions=[f"metric.duration <= {value}"])

    assert found["rules"][0]["expr"] == f"duration <= {bound}"


def test_the_address_of_a_webhook_is_not_printed() -> None:
    (report,) = reports(notify=["webhook:https://hooks.example/T0/SECRET"])

    assert "SECRET" not in report
    assert "webhook:https://***" in report


def test_what_is_empty_or_state_is_not_reported() -> None:
    """An answer of the API has many such fields."""
    assert (
        reports(
            created="2026-01-01",
            latest_event={"stamp": 1},
            passing=True,
            metadata=None,
            notify=[],
            statuspages=[],
            request=None,
            environments=["production"],
            schedule_tolerance=None,
            failure_tolerance=0,
        )
        == []
    )


@pytest.mark.parametrize("key", ["paused", "disabled"])
def test_a_paused_monitor_is_not_enabled(key: str) -> None:
    assert settings(**{key: True}) == {"enabled": False}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cronitor.yaml: has no monitors of Cronitor"),
        ("hello", "cronitor.yaml: has no monitors of Cronitor"),
        ("jobs: [", "cronitor.yaml:2: not YAML"),
        ("a: &x [1]\nb: *y", "cronitor.yaml:2: b: the alias has no anchor"),
    ],
)
def test_a_file_without_monitors_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        imported(text)

    assert str(caught.value).startswith(problem)


def test_settings_of_the_libraries_are_ignored() -> None:
    result = imported("api_key: secret\nenvironment: prod\njobs: {a: {note: 'n\n\n'}}")

    assert result.unmapped == ()
    assert result.jobs[0].settings["description"] == "n"


def test_what_is_no_monitor_is_reported() -> None:
    result = imported(
        "jobs: {a: 5}\nheartbeats: [{schedule: every day}]\nother: 3\npage: 1"
    )

    assert [str(one) for one in result.unmapped] == [
        "cronitor.yaml: jobs.a: 5: expected the attributes of a monitor",
        "cronitor.yaml: heartbeats[0]: keys and values: a monitor needs a key",
        "cronitor.yaml: other: 3: not a monitor",
    ]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
_SCHEDULES = st.sampled_from(
    ["0 0 * * *", "every 5 minutes", "every 0 hours", "0 0 12 * * ?", "at 9"]
)
_ASSERTIONS = st.sampled_from(
    ["metric.duration < 5 min", "metric.a-b = 3", "metric.x > 99999999999999999999"]
)
ATTRIBUTES: Final = st.fixed_dictionaries(
    {},
    optional={
        "schedule": _SCHEDULES | _ANY,
        "schedules": st.lists(_SCHEDULES | _ANY, max_size=3) | _ANY,
        "assertions": st.lists(_ASSERTIONS | _ANY, max_size=4) | _ANY,
        "rules": st.lists(
            st.fixed_dictionaries(
                {"rule_type": st.sampled_from(["not_on_schedule", "ran_less_than"])},
                optional={"value": _SCHEDULES | _ANY, "time_unit": _ANY},
            ),
            max_size=2,
        ),
        **dict.fromkeys(
            (
                *("name", "note", "timezone", "group", "tags", "platform", "paused"),
                *("grace_seconds", "schedule_tolerance", "failure_tolerance", "type"),
                *("notify", "environments", "metadata", "description"),
            ),
            _ANY,
        ),
    },
)


@given(st.dictionaries(st.text(max_size=10), ATTRIBUTES | st.none(), max_size=4))
def test_any_monitors_become_a_valid_configuration(monitors: dict[str, Any]) -> None:
    """A job or a report for each of them, and the same ones each time."""
    text = json.dumps({"jobs": monitors})
    result = imported(text)

    assert validated(result) == result
    assert parse(render(result)).jobs.keys() == {job.name for job in result.jobs}
    assert len(result.jobs) == len({job.name for job in result.jobs})
    assert imported(text) == result
