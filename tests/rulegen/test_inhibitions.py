"""The inhibitions of alertmanager.yml, decided by a real Alertmanager."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter import conventions as names

Labels = dict[str, str]

#: Seconds that Alertmanager may take to answer, and to stop.
PATIENCE = 60
#: Answers until Alertmanager must have noticed what inhibits: far more than it takes.
ATTEMPTS = 20_000


@pytest.fixture
def alertmanager(root: Path, tmp_path: Path) -> Iterator[str]:
    """Run Alertmanager with the shipped configuration; yield its address.

    Nothing leaves it: a test is over before the shortest group_wait.
    """
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.fail("alertmanager is missing: run make test, it installs them")
    process = subprocess.Popen(
        [
            program,
            f"--config.file={root / 'alertmanager/alertmanager.yml'}",
            f"--storage.path={tmp_path}",
            "--cluster.listen-address=",
            "--web.listen-address=127.0.0.1:0",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield f"http://{_listening(process)}/api/v2/alerts"
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def _listening(process: subprocess.Popen[str]) -> str:
    lines = []
    for line in process.stderr or ():
        lines.append(line)
        if match := re.search(r'"Listening on" address=(\S+)', line):
            return match[1]
    pytest.fail(f"alertmanager did not start:\n{''.join(lines)}")


def _post(url: str, *alerts: Labels) -> None:
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310
    urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310


def _inhibited(url: str) -> set[str]:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
        alerts: list[Any] = json.load(answer)
    return {
        _name(alert["labels"]) for alert in alerts if alert["status"]["inhibitedBy"]
    }


def _name(labels: Labels) -> str:
    """Return what tells alerts apart here."""
    return " ".join(
        labels[key] for key in ("alertname", "job_name", "rule") if key in labels
    )


def alert(name: str, job_name: str = "backup", **labels: str) -> Labels:
    """Return the labels of an alert of a job, as our rules make it."""
    return {
        "alertname": name,
        "job": "afterrun",
        "job_name": job_name,
        "severity": "warning",
        **labels,
    }


DOWN = {
    "alertname": names.EXPORTER_DOWN,
    "job": "afterrun",
    "instance": "a:10707",
    "severity": "critical",
}
ABSENT = {"alertname": names.EXPORTER_ABSENT, "severity": "critical"}
STORAGE = {
    "alertname": names.STORAGE_FAILING,
    "job": "afterrun",
    "severity": "critical",
}
MISSED = alert(names.JOB_MISSED)
FAILING = alert(names.JOB_FAILING)
OVERRUNNING = alert(names.JOB_OVERRUNNING)
STRICT = alert(
    names.JOB_RULE_VIOLATED, rule="rows > 0", metric="rows", severity="critical"
)
MILD = alert(names.JOB_RULE_VIOLATED, rule="rows > 50", metric="rows")
UPSTREAM = alert(names.JOB_UPSTREAM_UNHEALTHY, severity="none")
OVERLAPPING = alert(names.JOB_OVERLAPPING)
RATIO_LOW = alert(names.JOB_SUCCESS_RATIO_LOW)
SLOW = alert(names.JOB_SLOW)
OTHER_METRIC = alert(names.JOB_RULE_VIOLATED, rule="size > 0", metric="size")


@pytest.mark.parametrize(
    ("source", "quiet", "loud"),
    [
        pytest.param(DOWN, [MISSED, FAILING], [STORAGE], id="exporter down"),
        pytest.param(ABSENT, [MISSED, FAILING], [STORAGE], id="exporter absent"),
        pytest.param(
            DOWN,
            [MISSED],
            [alert(names.JOB_MISSED, "elsewhere", job="afterrun-staging")],
            id="another exporter is up",
        ),
        pytest.param(
            STORAGE, [MISSED, OVERRUNNING], [FAILING], id="nothing can be stored"
        ),
        pytest.param(
            OVERRUNNING,
            [MISSED],
            [alert(names.JOB_MISSED, "other"), FAILING],
            id="a run that never ends",
        ),
        pytest.param(STRICT, [MILD], [OTHER_METRIC], id="a strict rule and a mild one"),
        pytest.param(
            UPSTREAM,
            [MISSED, FAILING, MILD, OVERRUNNING, RATIO_LOW, SLOW],
            [OVERLAPPING, alert(names.JOB_FAILING, "other")],
            id="a job that it needs is in trouble",
        ),
        pytest.param(
            {**alert("NodeDown"), "severity": "critical"},
            [],
            [{**alert("NodeDown", "b"), "instance": "b"}, MISSED],
            id="not ours",
        ),
    ],
)
def test_one_condition_is_one_message(
    alertmanager: str, source: Labels, quiet: list[Labels], loud: list[Labels]
) -> None:
    """What follows from another alert is quiet, and nothing else is."""
    expected = {_name(labels) for labels in quiet}
    _post(alertmanager, source)
    _post(alertmanager, *quiet, *loud)

    # It learns of a source in the background, within milliseconds.
    answers = (_inhibited(alertmanager) for _ in range(ATTEMPTS))
    seen = next((seen for seen in answers if seen >= expected), set())

    assert seen == expected
