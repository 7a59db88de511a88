"""prometheus/: the files load, and the rules know the exporter by its scrape job."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from afterrun_exporter import conventions as names

Run = Callable[..., subprocess.CompletedProcess[str]]

every_config = pytest.mark.parametrize(
    "config",
    [
        "prometheus/prometheus.yml",
        "prometheus/prometheus.compose.yml",
        "prometheus/prometheus.postgres.yml",
    ],
)


@every_config
def test_it_loads_with_its_rules(run: Run, config: str) -> None:
    """The path of the rules fits, wherever Prometheus is started."""
    result = run("promtool", "check", "config", config)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 rule files found" in result.stdout


@every_config
def test_the_rules_find_the_exporter(root: Path, config: str) -> None:
    """ExporterDown looks for a name; a target with another would never be down."""
    data = yaml.safe_load((root / config).read_text())

    ours = [
        scrape
        for scrape in data["scrape_configs"]
        if re.fullmatch(names.SCRAPE_JOB, scrape["job_name"])
    ]

    assert {
        target.rpartition(":")[2]
        for scrape in ours
        for group in scrape["static_configs"]
        for target in group["targets"]
    } == {str(names.DEFAULT_PORT)}


@pytest.mark.parametrize("name", ["compose", "postgres"])
def test_the_files_differ_in_host_names_alone(root: Path, name: str) -> None:
    """What is learned on one host is true in containers too."""
    plain = yaml.safe_load((root / "prometheus/prometheus.yml").read_text())
    compose = (root / f"prometheus/prometheus.{name}.yml").read_text()
    single = compose.replace("afterrun-1:10707, afterrun-2:", "afterrun:")
    renamed = re.sub(r"\[(afterrun|alertmanager):", "[localhost:", single)

    assert yaml.safe_load(renamed) == plain
