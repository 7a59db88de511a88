"""What e-mail and Slack say of alerts, by Alertmanager's own templates."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

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
            "metric": "rows",
            "severity": "critical",
            **labels,
        },
        "annotations": {
            "summary": "A run of a job broke a rule.",
            "description": f"{job}: rows was 9, expected < 5.",
            "page_url": f"https://example.com/jobs/{job}",
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
    "backup: missed, no run finished by 01:00, grace included."
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
        ([alert()], "[CRITICAL] backup: rows was 9, expected < 5"),
        (
            [MISSED],
            "[WARNING] backup: missed, no run finished by 01:00, grace included",
        ),
        ([DOWN], "[CRITICAL] AfterRun at a:1 does not answer"),
        ([FOREIGN], "[FIRING] NodeDown"),
        (
            [alert(), alert(rule="size > 0")],
            "[CRITICAL] backup: rows was 9, expected < 5 (1 of 2)",
        ),
        (
            [alert("a"), alert("b", severity="warning")],
            "[CRITICAL] 2 violated, newest: a",
        ),
        (
            [alert(f"j{n}", severity="warning") for n in range(9_000)],
            "[WARNING] 9,000 violated, newest: j0",
        ),
        ([alert("a"), FOREIGN], "[CRITICAL] 2 alerts, newest: a"),
        # The newest one, not the first one by name.
        (
            [alert("a"), alert("b", 2), alert("c", 1)],
            "[CRITICAL] 3 violated, newest: b",
        ),
        (
            [alert(rule="size > 0"), alert("backup", 2)],
            "[CRITICAL] backup: rows was 9, expected < 5 (1 of 2)",
        ),
        # What has not just begun has been told before.
        (
            [alert("old"), alert("new", 60)],
            "[CRITICAL] new: rows was 9, expected < 5",
        ),
        (
            [alert("over", 0, 50), alert("new", 61)],
            "[CRITICAL] new: rows was 9, expected < 5",
        ),
        (
            [alert(ended=60)],
            "[RESOLVED] backup: violated (rows < 5 & more)",
        ),
        (
            [alert("old"), alert("over", 1, 60)],
            "[RESOLVED] over: violated (rows < 5 & more), 1 still open",
        ),
        (
            [alert("over", 0, 60), alert("new", 61), alert("told", 0, 40)],
            "[CRITICAL] new: rows was 9, expected < 5, 1 resolved",
        ),
        (
            [alert(f"j{n}", 0, 60 + n) for n in range(5)],
            "[RESOLVED] 5 violated, newest: j4",
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
backup: rows was 9, expected < 5.
  violated, critical, since 2026-11-22 01:00:00 UTC
  Job: https://example.com/jobs/backup
  What to do: https://example.com/runbook
  Silence: SILENCE(backup)
  Graph: GRAPH(backup)

Resolved: etl: violated (rows < 5 & more)
  from 2026-11-22 00:00:00 UTC to 2026-11-22 01:01:00 UTC

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "text",
            [alert(), alert("etl", 60), alert("a", 0, 50), alert("b", 0, 51)],
            """\
etl: rows was 9, expected < 5.
  violated, critical, since 2026-11-22 02:00:00 UTC
  Job: https://example.com/jobs/etl
  What to do: https://example.com/runbook
  Silence: SILENCE(etl)
  Graph: GRAPH(etl)

Still open:
  backup: rows was 9, expected < 5. (since 2026-11-22 01:00:00 UTC)

Resolved earlier:
  a: violated (rows < 5 & more) (at 2026-11-22 01:50:00 UTC)
  b: violated (rows < 5 & more) (at 2026-11-22 01:51:00 UTC)

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "slack",
            [alert(), alert("etl", -60, 1)],
            """\
*backup: rows was 9, expected &lt; 5.*
violated, critical, since 2026-11-22 01:00:00 UTC
<https://example.com/jobs/backup|Job> · <https://example.com/runbook|What to do> · \
<SILENCE(backup)|Silence> · <GRAPH(backup)|Graph>
Resolved: etl: violated (rows &lt; 5 &amp; more)
""",
        ),
        (
            "slack",
            [alert("etl", 60, 61), alert(), alert("a", 0, 50), alert("b", 0, 51)],
            """\
Resolved: etl: violated (rows &lt; 5 &amp; more)
Still open: backup: rows was 9, expected &lt; 5.
Resolved earlier: a: violated (rows &lt; 5 &amp; more), \
b: violated (rows &lt; 5 &amp; more)
""",
        ),
        # Other people's alerts say less of themselves, and that leaves no hole.
        (
            "text",
            [FOREIGN],
            """\
NodeDown
  NodeDown, since 2026-11-22 01:00:00 UTC
  Silence: http://alertmanager/#/silences/new?filter=\
%7Balertname%3D%22NodeDown%22%2Cinstance%3D%22db1%22%7D

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "slack",
            [FOREIGN],
            "*NodeDown*\nNodeDown, since 2026-11-22 01:00:00 UTC\n<http://alertmanager/#/silences/new?filter=%7Balertname%3D%22NodeDown%22%2Cinstance%3D%22db1%22%7D|Silence>\n",
        ),
    ],
)
def test_a_message_shows_what_is_new(
    run: Run, tmp_path: Path, name: str, alerts: list[Any], expected: str
) -> None:
    """Alertmanager sends a group whole; what was in it before is shown in brief."""
    message = render(run, tmp_path, name, alerts)

    assert message == re.sub(r"(SILENCE|GRAPH)\((\w+)\)", link, expected)


def link(match: re.Match[str]) -> str:
    """Return the link to a silence or a graph of the alert of a job."""
    job = quote(match[2])
    if match[1] == "GRAPH":
        series = quote(f'{names.METRIC_VALUE}{{job_name="{job}",metric="rows"}}')
        return f"http://prometheus/graph?g0.expr={series}&g0.tab=0"
    which = f'alertname="{names.JOB_RULE_VIOLATED}",job_name="{job}"'
    filter_ = quote(f'{{{which},rule="rows < 5 & more"}}')
    return f"http://alertmanager/#/silences/new?filter={filter_}"


def test_a_message_says_which_run_it_is_about(run: Run, tmp_path: Path) -> None:
    """As far as it is known: by alerts that AfterRun posts itself."""
    pushed = alert()
    pushed["annotations"] |= {
        "host": "db1",
        "run_id": "night-7",
        "exit_code": "1",
        "message": 'no "orders" <table>',
        "job_description": "Copy it",
    }
    pushed["generatorURL"] = "https://example.com/jobs/backup"

    text, html, slack = (
        render(run, tmp_path, name, [pushed]) for name in ("text", "html", "slack")
    )

    assert (
        '\n  host db1, run night-7\n  Message: no "orders" <table>\n  About: Copy it\n'
        in text
    )
    assert (
        "host db1, run night-7<br>\nMessage: no &#34;orders&#34; &lt;table&gt;" in html
    )
    assert ' · host db1 · run night-7\nno "orders" &lt;table&gt;\n' in slack
    # It has no graph of its own: that is on the page.
    assert "Graph" not in text + html + slack


RULES = (
    'status == "done"',
    'path !contains "C:\\x"',
    "latency < 5ms + 100% #?&=é",
)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["text", "html", "slack"])
def test_a_silence_has_the_matchers_of_the_alert(
    run: Run, tmp_path: Path, name: str, rule: str
) -> None:
    """Read back as a browser and Alertmanager read them."""
    message = render(run, tmp_path, name, [alert(rule=rule)])
    (found,) = set(re.findall(r"#/silences/new\?filter=([^\s\"|]+)", message))

    matchers = unquote(unescape(found)).strip("{}")

    quoted = json.dumps(rule, ensure_ascii=False)
    assert matchers == (
        f'alertname="{names.JOB_RULE_VIOLATED}",job_name="backup",rule={quoted}'
    )


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

    assert len(message) < (60_000 if name == "html" else 30_000)
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

    assert "<b>backup: rows was 9, expected &lt; 5.</b>" in html
    assert "violated (rows &lt; 5 &amp; more)" in html
    graph = link(re.match("(GRAPH).(backup)", "GRAPH(backup"))  # type: ignore[arg-type]
    assert f'href="{graph.replace("&", "&amp;")}"' in html
