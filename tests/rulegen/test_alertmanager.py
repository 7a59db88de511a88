"""alertmanager/ as it is shipped: it loads, sends to whom it should, and says what a reader needs."""

from __future__ import annotations

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
