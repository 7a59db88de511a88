"""Whom the example of a queue tells, by Alertmanager's own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter import config as configs
from afterrun_exporter.rulegen import alertmanager, render

from .amtools import files, findings
from .conftest import Run


@pytest.fixture(scope="module")
def example(root: Path) -> configs.Config:
    return configs.load(root / "examples/queue-health.yml")


def test_alertmanager_finds_nothing_wrong_with_it(
    run: Run, tmp_path: Path, example: configs.Config
) -> None:
    assert findings(run, tmp_path, example) == []


@pytest.mark.parametrize(
    ("alert", "severity", "job", "receiver"),
    [
        ("AfterRunJobRuleViolated", "high", "queue-health", "worker-alerts"),
        ("AfterRunJobRuleViolated", "low", "queue-health", "worker-alerts"),
        ("AfterRunJobMissed", "high", "queue-health", "worker-alerts"),
        ("AfterRunJobFailing", "critical", "daily.questmaster", "oncall"),
        # Not urgent, however important the job is.
        ("AfterRunJobSlow", "critical", "daily.questmaster", "worker-alerts"),
        ("AfterRunExporterDown", "critical", "", "oncall"),
        ("AfterRunJobUpstreamUnhealthy", "none", "github.sync", "discard"),
    ],
)
def test_each_severity_of_the_example_reaches_somebody(
    run: Run,
    tmp_path: Path,
    example: configs.Config,
    alert: str,
    severity: str,
    job: str,
    receiver: str,
) -> None:
    render.write(files(example), tmp_path)

    labels = [f"alertname={alert}", f"severity={severity}"]
    if job:
        labels.append(f"job_name={job}")

    asked = run(
        "amtool",
        *("config", "routes", "test"),
        f"--config.file={tmp_path / alertmanager.CONFIG}",
        *labels,
    )

    assert asked.stdout.strip() == receiver
