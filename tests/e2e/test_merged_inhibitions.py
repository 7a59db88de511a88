"""What is generated beside a base with inhibit rules, in a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

from . import chain, network
from .conftest import Launch
from .inbox import posts_in

BASE = """\
route: {receiver: theirs}
receivers: [{name: theirs}]
inhibit_rules:
  - source_matchers: [severity = critical]
    target_matchers: [severity = warning]
    equal: [alertname, instance]
"""
CONFIG = """\
jobs: {a: {severity: critical}, b: {}, c: {}}
alertmanager:
  base: base.yml
  receivers: {oncall: [{webhook: {url: "HOOK"}}]}
  group_wait: 1s
  group_interval: 1s
"""


def failing(job: str, severity: str) -> dict[str, Any]:
    labels = {"alertname": "AfterRunJobFailing", "job": "afterrun"}
    return {"labels": {**labels, "job_name": job, "severity": severity}}


def other(instance: str, severity: str) -> dict[str, Any]:
    labels = {"alertname": "DiskFull", "instance": instance}
    return {"labels": {**labels, "severity": severity}}


def test_a_critical_job_silences_no_other_job(tmp_path: Path, launch: Launch) -> None:
    """Three jobs fail, one of them critical: all three are told."""
    hook, port = network.free_port(), network.free_port()
    (tmp_path / "base.yml").write_text(BASE)
    config = tmp_path / "afterrun.yml"
    config.write_text(CONFIG.replace("HOOK", f"{chain.url(hook)}/alerts"))
    afterrun = Path(sys.executable).with_name("afterrun")
    generated = subprocess.run(
        [afterrun, "generate", "alertmanager", "--config.file", config],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    posted = tmp_path / "webhook.jsonl"
    launch(chain.webhook_receiver(tmp_path, hook, posted))
    launch(
        chain.alertmanager(tmp_path, tmp_path / "alertmanager/alertmanager.yml", port)
    )

    alerts = [
        failing("a", "critical"),
        other("x", "critical"),
        failing("b", "warning"),
        failing("c", "warning"),
        other("x", "warning"),
    ]
    post(f"{chain.url(port)}/api/v2/alerts", alerts)

    assert "base.yml:4: inhibit_rules[0] lets critical AfterRun" in generated.stderr
    assert network.wait_for(lambda: jobs_in(posted) == {"a", "b", "c"})
    # Their rule still does what it was made for.
    full = [("DiskFull", "warning")]
    assert network.wait_for_value(lambda: inhibited(port), full) == full


def post(url: str, body: Any) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310


def jobs_in(posted: Path) -> set[str]:
    return {
        alert["labels"]["job_name"]
        for post in posts_in(posted)
        for alert in post["body"]["alerts"]
    }


def inhibited(port: int) -> list[tuple[str, str]]:
    url = f"{chain.url(port)}/api/v2/alerts"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
        alerts = json.load(answer)
    return [
        (alert["labels"]["alertname"], alert["labels"]["severity"])
        for alert in alerts
        if alert["status"]["inhibitedBy"]
    ]
