"""alertmanager/ as it is shipped: it loads, sends to whom it should, and says what a reader needs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterrun_exporter import conventions as names

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = "alertmanager/alertmanager.yml"

FIRING = {
    "status": "firing",
    "labels": {
        "alertname": names.JOB_RULE_VIOLATED,
        "job_name": "backup",
        "severity": "critical",
        "rule": "rows < 5 & more",
    },
    "annotations": {
        "description": "backup: rows was 9; the rule is rows < 5.",
        "runbook_url": "https://example.com/runbook",
    },
    "startsAt": "2026-11-22T03:00:00+02:00",
    "generatorURL": "http://prometheus/graph?a=1&b=2",
}
RESOLVED = {**FIRING, "status": "resolved", "endsAt": "2026-11-22T04:00:00+02:00"}


@pytest.fixture
def config(root: Path) -> Any:
    """Return the shipped configuration, as data."""
    return yaml.safe_load((root / CONFIG).read_text())


def test_it_loads_on_a_fresh_checkout(run: Run) -> None:
    """Nothing has to be filled in for a first start."""
    result = run("amtool", "check-config", CONFIG)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 templates" in result.stdout


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": names.JOB_MISSED, "severity": "warning"}, "oncall"),
        ({"alertname": names.JOB_MISSED, "severity": "critical"}, "oncall,channel"),
        (
            {"alertname": names.JOB_FAILING, "severity": "critical", "team": "data"},
            "oncall,channel",
        ),
        # Severities are the user's words: one we do not know is told all the same.
        ({"alertname": names.JOB_FAILING, "severity": "info"}, "oncall"),
        ({"alertname": names.JOB_FAILING}, "oncall"),
        ({"alertname": names.JOB_DISAPPEARED, "severity": "warning"}, "oncall"),
        ({"alertname": names.EXPORTER_DOWN, "severity": "critical"}, "oncall,channel"),
        ({"alertname": names.WATCHDOG, "severity": "none"}, "discard"),
        ({"alertname": names.JOB_UPSTREAM_UNHEALTHY, "severity": "none"}, "discard"),
        ({"alertname": "NodeDown"}, "oncall"),
    ],
)
def test_who_is_told(run: Run, labels: dict[str, str], receiver: str) -> None:
    """Alertmanager's own routing decides, not our reading of it."""
    result = run(
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={CONFIG}",
        f"--verify.receivers={receiver}",
        *(f"{name}={value}" for name, value in labels.items()),
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_resolved_is_told_too(config: Any) -> None:
    """E-mail is quiet about the end unless asked; the webhook is asked as well."""
    told = [
        (kind, integration["send_resolved"])
        for receiver in config["receivers"]
        for kind, integrations in receiver.items()
        if kind != "name"
        for integration in integrations
    ]

    assert {kind for kind, _ in told} == {
        "email_configs",
        "slack_configs",
        "webhook_configs",
    }
    assert all(resolved for _, resolved in told)


def test_no_secret_stands_in_it(root: Path) -> None:
    """Samples with `password: changeme` end up in repositories, changed."""
    keys = re.findall(r"^[ #-]*(\w+):", (root / CONFIG).read_text(), re.MULTILINE)
    secret = re.compile(r"password|api_url|secret|token|credentials")

    assert {k for k in keys if secret.search(k) and not k.endswith("_file")} == set()


def _render(run: Run, tmp_path: Path, name: str, alerts: list[Any]) -> str:
    kind = "html" if name == "html" else "text"
    data = tmp_path / "data.json"
    status = alerts[0]["status"]
    data.write_text(
        json.dumps(
            {
                "status": status,
                "commonLabels": {"alertname": names.JOB_RULE_VIOLATED},
                "externalURL": "http://alertmanager",
                "alerts": alerts,
            }
        )
    )
    result = run(
        "amtool",
        "template",
        "render",
        "--template.glob=alertmanager/templates/*.tmpl",
        f"--template.type={kind}",
        f'--template.text={{{{ template "afterrun.{name}" . }}}}',
        f"--template.data={data}",
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("name", "alerts", "expected"),
    [
        (
            "subject",
            [FIRING],
            "[FIRING] backup: AfterRunJobRuleViolated (rows < 5 & more)",
        ),
        (
            "subject",
            [FIRING, FIRING, RESOLVED],
            "[FIRING] backup: AfterRunJobRuleViolated (rows < 5 & more) (1 of 2)",
        ),
        (
            "subject",
            [RESOLVED],
            "[RESOLVED] backup: AfterRunJobRuleViolated (rows < 5 & more)",
        ),
        (
            "text",
            [FIRING, RESOLVED],
            """\
backup: rows was 9; the rule is rows < 5.
  AfterRunJobRuleViolated, critical, since 2026-11-22 01:00:00 UTC
  What to do: https://example.com/runbook
  Graph: http://prometheus/graph?a=1&b=2

Resolved: backup: AfterRunJobRuleViolated (rows < 5 & more)
  from 2026-11-22 01:00:00 UTC to 2026-11-22 02:00:00 UTC

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "slack",
            [FIRING, RESOLVED],
            """\
*backup: rows was 9; the rule is rows &lt; 5.*
critical, since 2026-11-22 01:00:00 UTC · <https://example.com/runbook|What to do> · \
<http://prometheus/graph?a=1&b=2|Graph>
Resolved: AfterRunJobRuleViolated backup (rows &lt; 5 &amp; more)
""",
        ),
    ],
)
def test_what_a_message_says(
    run: Run, tmp_path: Path, name: str, alerts: list[Any], expected: str
) -> None:
    """The first words are what broke; the last, where to look."""
    assert _render(run, tmp_path, name, alerts) == expected


FOREIGN = {
    "status": "firing",
    "labels": {"alertname": "NodeDown", "instance": "db1"},
    "annotations": {},
    "startsAt": "2026-11-22T03:00:00+02:00",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "text",
            """\
NodeDown
  NodeDown, since 2026-11-22 01:00:00 UTC

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        ("slack", "*NodeDown*\nsince 2026-11-22 01:00:00 UTC\n"),
    ],
)
def test_alerts_that_are_not_ours_are_readable_too(
    run: Run, tmp_path: Path, name: str, expected: str
) -> None:
    """They say less of themselves, and what they do not say leaves no hole."""
    assert _render(run, tmp_path, name, [FOREIGN]) == expected


def test_the_html_message_escapes_what_rules_are_full_of(
    run: Run, tmp_path: Path
) -> None:
    """A `<` in a rule hides nothing."""
    html = _render(run, tmp_path, "html", [FIRING, RESOLVED])

    assert "<b>backup: rows was 9; the rule is rows &lt; 5.</b>" in html
    assert '<a href="http://prometheus/graph?a=1&amp;b=2">Graph</a>' in html
    assert "AfterRunJobRuleViolated (rows &lt; 5 &amp; more)" in html
