"""The link to a form for a silence of an alert."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen import prometheus
from afterrun_exporter.rulegen.links import silence_link

URL = "https://alerts.example.com"


def filter_of(link: dict[str, str]) -> str:
    url, _, query = link["silence_url"].partition("/#/silences/new?filter=")
    assert url == URL
    assert not set(query) & set(' "{}+')
    return unquote(query)


@pytest.mark.parametrize(
    ("rule", "matchers"),
    [
        ("", '{alertname="AfterRunJobRuleViolated",job_name="backup"}'),
        (
            "rows > 5",
            '{alertname="AfterRunJobRuleViolated",job_name="backup",rule="rows > 5"}',
        ),
        (
            'a == "ok" + 1%',
            r'{alertname="AfterRunJobRuleViolated",job_name="backup",rule="a == \"ok\" + 1%"}',
        ),
    ],
)
def test_a_silence_is_of_this_job_and_rule_alone(rule: str, matchers: str) -> None:
    link = silence_link(names.JOB_RULE_VIOLATED, URL, "backup", rule)

    assert filter_of(link) == matchers


def test_without_the_url_of_alertmanager_there_is_no_link() -> None:
    assert silence_link(names.JOB_FAILING, "", "backup") == {}


def test_each_alert_has_a_link_and_none_without_the_url() -> None:
    for url in (URL, ""):
        groups = prometheus.rules_file((), "", "", url)["groups"]
        alerts = [
            rule for group in groups for rule in group["rules"] if "alert" in rule
        ]

        assert {"silence_url" in rule["annotations"] for rule in alerts} == {bool(url)}
