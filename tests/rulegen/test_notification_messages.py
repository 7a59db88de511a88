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
    "backup: no run finished by 2026-11-22 01:00:00 UTC."
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
            "[WARNING] backup: no run finished by 01:00:00 UTC",
        ),
        ([DOWN], "[CRITICAL] AfterRun at a:1 does not answer"),
        ([FOREIGN], "[FIRING] NodeDown"),
        (
            [alert(), alert(rule="size > 0")],
            "[CRITICAL] backup: rows was 9, expected < 5 (1 of 2)",
        ),
        (
            [alert("a"), alert("b", severity="warning")],
            "[CRITICAL] 2 violated, newest: a: rows was 9, expected < 5",
        ),
        (
            [alert(f"j{n}", severity="warning") for n in range(9_000)],
            "[WARNING] 9,000 violated, newest: j0: rows was 9, expected < 5",
        ),
        (
            [alert("a"), FOREIGN],
            "[CRITICAL] 2 alerts, newest: a: rows was 9, expected < 5",
        ),
        # The newest one, not the first one by name.
        (
            [alert("a"), alert("b", 2), alert("c", 1)],
            "[CRITICAL] 3 violated, newest: b: rows was 9, expected < 5",
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
        # The severity of what is new.
        (
            [alert("old"), alert("new", 60, severity="warning")],
            "[WARNING] new: rows was 9, expected < 5",
        ),
        (
            [alert("a", severity="page"), alert("b", severity="info")],
            "[FIRING] 2 violated, newest: a: rows was 9, expected < 5",
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
  critical, firing in Prometheus since 2026-11-22 01:00:00 UTC
  Open job page: https://example.com/jobs/backup
  Runbook: https://example.com/runbook
  Silence this alert: SILENCE(backup)
  Graph: GRAPH(backup)

Resolved: etl: violated (rows < 5 & more)
  from 2026-11-22 00:00:00 UTC to 2026-11-22 01:01:00 UTC
  Open job page: https://example.com/jobs/etl

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "text",
            [alert(), alert("etl", 60), alert("a", 0, 50), alert("b", 0, 51)],
            """\
All broken jobs, by cause: https://example.com/

etl: rows was 9, expected < 5.
  critical, firing in Prometheus since 2026-11-22 02:00:00 UTC
  Open job page: https://example.com/jobs/etl
  Runbook: https://example.com/runbook
  Silence this alert: SILENCE(etl)
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
critical, firing in Prometheus since 2026-11-22 01:00:00 UTC
<https://example.com/jobs/backup|Open job page> · <https://example.com/runbook|Runbook> · \
<SILENCE(backup)|Silence this alert> · <GRAPH(backup)|Graph>
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
  since 2026-11-22 01:00:00 UTC
  Silence this alert: http://alertmanager/#/silences/new?filter=\
%7Balertname%3D%22NodeDown%22%2Cinstance%3D%22db1%22%7D

All alerts and silences: http://alertmanager/#/alerts
""",
        ),
        (
            "slack",
            [FOREIGN],
            "*NodeDown*\nsince 2026-11-22 01:00:00 UTC\n<http://alertmanager/#/silences/new?filter=%7Balertname%3D%22NodeDown%22%2Cinstance%3D%22db1%22%7D|Silence this alert>\n",
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
        'backup: rows was 9, expected < 5.\n  Message: no "orders" <table>\n'
        "  critical, since 2026-11-22 01:00:00 UTC\n"
        "  host db1, run night-7\n  About: Copy it\n"
    ) in text
    assert ">no &#34;orders&#34; &lt;table&gt;</p>" in html
    assert "host db1, run night-7<br>\nAbout: Copy it" in html
    assert (
        "expected &lt; 5.*\n"
        'no "orders" &lt;table&gt;\n'
        "critical, since 2026-11-22 01:00:00 UTC · host db1 · run night-7\n"
    ) in slack
    # It has no graph of its own: that is on the page.
    assert "Graph" not in text + html + slack


FAILED = alert("backup")
FAILED["labels"]["alertname"] = names.JOB_FAILING
FAILED["annotations"]["description"] = (
    "backup: failed with exit code 3; last ok run at 2026-11-21 01:00:00 UTC."
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("disk full", "failed with exit code 3: disk full"),
        ("no <table>: $1 {{x}}", "failed with exit code 3: no <table>: $1 {{x}}"),
        # The end of a longer one has the error.
        (
            "Traceback (most recent call last): main() ValueError: bad amount in line 12",
            "failed with exit code 3: …recent call last): main() ValueError: bad amount in line 12",
        ),
        (
            "ü" * 50 + " no " * 3,
            "failed with exit code 3; last ok run at 2026-11-21 01:00:00 UTC",
        ),
        ("x" * 61, "failed with exit code 3; last ok run at 2026-11-21 01:00:00 UTC"),
        ("a\nb", "failed with exit code 3; last ok run at 2026-11-21 01:00:00 UTC"),
        ("", "failed with exit code 3; last ok run at 2026-11-21 01:00:00 UTC"),
    ],
)
def test_the_last_words_of_a_failure_are_in_the_subject(
    run: Run, tmp_path: Path, message: str, expected: str
) -> None:
    one = {**FAILED, "annotations": {**FAILED["annotations"], "message": message}}

    assert render(run, tmp_path, "subject", [one]) == f"[CRITICAL] backup: {expected}"


def test_a_message_of_a_run_that_is_ok_is_not_in_the_subject(
    run: Run, tmp_path: Path
) -> None:
    one = alert()
    one["annotations"]["message"] = "done"

    assert "done" not in render(run, tmp_path, "subject", [one])


@pytest.mark.parametrize("name", ["text", "html"])
def test_a_mail_about_several_jobs_leads_to_their_causes(
    run: Run, tmp_path: Path, name: str
) -> None:
    """The first page of the daemon has them, wherever a proxy puts it."""
    jobs = [alert("a"), alert("b"), FOREIGN]
    for one in jobs[:2]:
        url = f"https://example.com/afterrun/jobs/{one['labels']['job_name']}"
        one["annotations"]["page_url"] = url
    without = [alert("a"), alert("b")]
    for one in without:
        del one["annotations"]["page_url"]

    several, of_one, unknown = (
        render(run, tmp_path, name, alerts)
        for alerts in (jobs, [alert(), alert(rule="size > 0")], without)
    )

    link = "by cause: https://example.com/afterrun/\n"
    if name == "html":
        link = 'href="https://example.com/afterrun/"'
    assert link in several
    assert "by cause" not in of_one + unknown


def test_times_and_sizes_in_mails_have_no_line_breaks(run: Run, tmp_path: Path) -> None:
    one = alert()
    one["annotations"]["description"] = (
        "backup: size was 1.2 KiB at 2026-11-21 01:00:00 UTC, expected > 80 B."
    )

    html = render(run, tmp_path, "html", [one, alert("etl", -60, 1)])

    assert (
        "1.2\u00a0KiB at 2026-11-21\u00a001:00:00\u00a0UTC, expected &gt;\u00a080\u00a0B"
        in html
    )
    assert "since 2026-11-22\u00a001:00:00\u00a0UTC" in html
    assert "from 2026-11-22\u00a000:00:00\u00a0UTC to" in html


def test_the_day_is_told_once(run: Run, tmp_path: Path) -> None:
    """Beside the text; other days stay in it."""
    one = alert()
    one["annotations"]["description"] = (
        "backup: no run finished by 2026-11-22 00:59:00 UTC, not even at "
        "2026-11-21 01:00:00 UTC."
    )

    told = "by 00:59:00 UTC, not even at 2026-11-21 01:00:00 UTC"
    assert told in render(run, tmp_path, "text", [one])
    assert told in render(run, tmp_path, "slack", [one])
    assert told.replace(" UTC", "\u00a0UTC").replace("21 0", "21\u00a00") in render(
        run, tmp_path, "html", [one]
    )


def test_the_graph_of_a_missed_job_shows_how_late_it_is(
    run: Run, tmp_path: Path
) -> None:
    text = unquote(render(run, tmp_path, "text", [MISSED]))

    assert f'g0.expr=time() - {names.DEADLINE}{{job_name="backup"}}&' in text


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


@pytest.mark.parametrize(
    "name",
    [
        "text",
        pytest.param("html", marks=pytest.mark.thorough),
        pytest.param("slack", marks=pytest.mark.thorough),
    ],
)
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

    assert "<b>backup: rows was 9, expected &lt;\u00a05.</b>" in html
    assert "violated (rows &lt; 5 &amp; more)" in html
    graph = link(re.match("(GRAPH).(backup)", "GRAPH(backup"))  # type: ignore[arg-type]
    assert f'href="{graph.replace("&", "&amp;")}"' in html
