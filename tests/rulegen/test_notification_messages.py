"""What e-mail and Slack say of alerts, by Alertmanager's own templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter import conventions as names
from afterrun_exporter.config import parse
from afterrun_exporter.rulegen import alertmanager

from .conftest import Run

HOUR_ONE = datetime(2026, 11, 22, 1, tzinfo=UTC)


def alert(
    job: str = "backup",
    began: float = 0,
    ended: float | None = None,
    rule: str = "rows < 5 & more",
    **labels: str,
) -> dict[str, Any]:
    """Return an alert that began and perhaps ended so many minutes after 01:00."""
    one: dict[str, Any] = {
        "status": "firing" if ended is None else "resolved",
        "labels": {
            "alertname": names.JOB_RULE_VIOLATED,
            "job_name": job,
            "rule": rule,
            "severity": "critical",
            **labels,
        },
        "annotations": {
            "summary": "A run of a job broke a rule.",
            "description": f"{job}: rows was 9; the rule is rows < 5.",
            "runbook_url": "https://example.com/runbook",
        },
        "generatorURL": "http://prometheus/graph?a=1&b=2",
        "startsAt": (HOUR_ONE + timedelta(minutes=began)).isoformat(),
    }
    if ended is not None:
        one["endsAt"] = (HOUR_ONE + timedelta(minutes=ended)).isoformat()
    return one


def common(alerts: list[Any]) -> Mapping[str, str]:
    first, *others = (one["labels"] for one in alerts)
    return {k: v for k, v in first.items() if all(o.get(k) == v for o in others)}


def render(
    run: Run, tmp_path: Path, name: str, alerts: list[Any], interval: str = "5m"
) -> str:
    kind = "html" if name == "html" else "text"
    firing = any(one["status"] == "firing" for one in alerts)
    data = {
        "status": "firing" if firing else "resolved",
        "commonLabels": common(alerts),
        "externalURL": "http://alertmanager",
        "alerts": alerts,
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    config = parse(f"alertmanager: {{group_interval: {interval}}}")
    template = tmp_path / "afterrun.tmpl"
    template.write_text(alertmanager.template_text(config.alertmanager))
    result = run(
        *("amtool", "template", "render", f"--template.glob={template}"),
        f"--template.type={kind}",
        f'--template.text={{{{ template "afterrun.{name}" . }}}}',
        f"--template.data={tmp_path / 'data.json'}",
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


MISSED = alert("backup", severity="warning")
MISSED["labels"]["alertname"] = names.JOB_MISSED
MISSED["annotations"]["description"] = (
    "backup should have finished by 01:00, and has not."
)
DOWN = alert(alertname=names.EXPORTER_DOWN, instance="a:1")
del DOWN["labels"]["job_name"]
DOWN["annotations"]["description"] = "AfterRun at a:1 does not answer."
FOREIGN = {
    "status": "firing",
    "labels": {"alertname": "NodeDown", "instance": "db1"},
    "annotations": {},
    "startsAt": "2026-11-22T03:00:00+02:00",
}


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ([alert()], "[CRITICAL] backup: rows was 9; the rule is rows < 5"),
        ([MISSED], "[WARNING] backup: should have finished by 01:00, and has not"),
        ([DOWN], "[CRITICAL] AfterRun at a:1 does not answer"),
        ([FOREIGN], "[FIRING] NodeDown"),
        (
            [alert(), alert(rule="size > 0")],
            "[CRITICAL] backup: rows was 9; the rule is rows < 5 (1 of 2)",
        ),
        (
            [alert("a"), alert("b", severity="warning")],
            "[CRITICAL] 2 AfterRunJobRuleViolated: a, b",
        ),
        (
            [alert(f"j{n}", severity="warning") for n in range(9_000)],
            "[WARNING] 9,000 AfterRunJobRuleViolated: j0, j1, j2 and 8,997 more",
        ),
        ([alert("a"), FOREIGN], "[CRITICAL] 2 alerts: a, db1"),
        # What has not just begun has been told before.
        (
            [alert("old"), alert("new", 60)],
            "[CRITICAL] new: rows was 9; the rule is rows < 5",
        ),
        (
            [alert("over", 0, 50), alert("new", 61)],
            "[CRITICAL] new: rows was 9; the rule is rows < 5",
        ),
        (
            [alert(ended=60)],
            "[RESOLVED] backup: AfterRunJobRuleViolated (rows < 5 & more)",
        ),
        (
            [alert("old"), alert("over", 1, 60)],
            (
                "[RESOLVED] over: AfterRunJobRuleViolated (rows < 5 & more), "
                "1 still open"
            ),
        ),
        (
            [alert("over", 0, 60), alert("new", 61), alert("told", 0, 40)],
            "[CRITICAL] new: rows was 9; the rule is rows < 5, 1 resolved",
        ),
        (
            [alert(f"j{n}", 0, 60) for n in range(5)],
            "[RESOLVED] 5 AfterRunJobRuleViolated: j0, j1, j2 and 2 more",
        ),
    ],
)
def test_a_subject_names_severity_job_and_reason(
    run: Run, tmp_path: Path, alerts: list[Any], expected: str
) -> None:
    assert render(run, tmp_path, "subject", alerts) == expected


@pytest.mark.parametrize(
    ("name", "alerts", "expected"),
    [
        (
            "text",
            [alert(), alert("etl", -60, 1)],
            """\
backup: rows was 9; the rule is rows < 5.
  AfterRunJobRuleViolated, critical, since 2026-11-22 01:00:00 UTC
  What to do: https://example.com/runbook
  Graph: http://prometheus/graph?a=1&b=2

Resolved: etl: AfterRunJobRuleViolated (rows < 5 & more)
  from 2026-11-22 00:00:00 UTC to 2026-11-22 01:01:00 UTC

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "text",
            [alert(), alert("etl", 60), alert("a", 0, 50), alert("b", 0, 51)],
            """\
etl: rows was 9; the rule is rows < 5.
  AfterRunJobRuleViolated, critical, since 2026-11-22 02:00:00 UTC
  What to do: https://example.com/runbook
  Graph: http://prometheus/graph?a=1&b=2

Still open:
  backup: rows was 9; the rule is rows < 5. (since 2026-11-22 01:00:00 UTC)

Resolved earlier:
  a: AfterRunJobRuleViolated (rows < 5 & more) (at 2026-11-22 01:50:00 UTC)
  b: AfterRunJobRuleViolated (rows < 5 & more) (at 2026-11-22 01:51:00 UTC)

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "slack",
            [alert(), alert("etl", -60, 1)],
            """\
*backup: rows was 9; the rule is rows &lt; 5.*
critical, since 2026-11-22 01:00:00 UTC · <https://example.com/runbook|What to do> · \
<http://prometheus/graph?a=1&b=2|Graph>
Resolved: AfterRunJobRuleViolated etl (rows &lt; 5 &amp; more)
""",
        ),
        (
            "slack",
            [alert("etl", 60, 61), alert(), alert("a", 0, 50), alert("b", 0, 51)],
            """\
Resolved: AfterRunJobRuleViolated etl (rows &lt; 5 &amp; more)
Still open: backup: rows was 9; the rule is rows &lt; 5.
Resolved earlier: AfterRunJobRuleViolated a (rows &lt; 5 &amp; more), \
AfterRunJobRuleViolated b (rows &lt; 5 &amp; more)
""",
        ),
        # Other people's alerts say less of themselves, and that leaves no hole.
        (
            "text",
            [FOREIGN],
            """\
NodeDown
  NodeDown, since 2026-11-22 01:00:00 UTC

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        ("slack", [FOREIGN], "*NodeDown*\nsince 2026-11-22 01:00:00 UTC\n"),
    ],
)
def test_a_message_shows_what_is_new(
    run: Run, tmp_path: Path, name: str, alerts: list[Any], expected: str
) -> None:
    """Alertmanager sends a group whole; what was in it before is shown in brief."""
    assert render(run, tmp_path, name, alerts) == expected


def test_what_is_new_depends_on_the_group_interval(run: Run, tmp_path: Path) -> None:
    alerts = [alert("new", 60), alert("over", 0, 50)]

    five, hour = (
        render(run, tmp_path, "text", alerts, interval) for interval in ("5m", "1h")
    )

    assert "Resolved earlier:\n  over:" in five
    assert "Resolved: over:" in hour


@pytest.mark.parametrize("name", ["text", "html", "slack"])
def test_a_message_about_thousands_shows_some_and_their_number(
    run: Run, tmp_path: Path, name: str
) -> None:
    alerts = [
        *(alert(f"new-{n:04}", 60) for n in range(9_000)),
        *(alert(f"open-{n:04}") for n in range(2_000)),
        *(alert(f"over-{n:04}", 0, 60) for n in range(1_500)),
        *(alert(f"told-{n:04}", 0, 40) for n in range(1_020)),
    ]

    message = render(run, tmp_path, name, alerts)

    assert len(message) < 30_000
    for shown in ("new-0019", "open-0019", "over-0019", "told-0019"):
        assert shown in message
    for left_out in ("new-0020", "open-0020", "over-0020", "told-0020"):
        assert left_out not in message
    for number in ("8,980 more", "1,980 more", "1,480 more", "1,000 more"):
        assert f"and {number}" in message


def test_the_html_message_escapes_what_rules_are_full_of(
    run: Run, tmp_path: Path
) -> None:
    """A `<` in a rule hides nothing."""
    html = render(run, tmp_path, "html", [alert(), alert("etl", -60, 1)])

    assert "<b>backup: rows was 9; the rule is rows &lt; 5.</b>" in html
    assert '<a href="http://prometheus/graph?a=1&amp;b=2">Graph</a>' in html
    assert "AfterRunJobRuleViolated (rows &lt; 5 &amp; more)" in html
