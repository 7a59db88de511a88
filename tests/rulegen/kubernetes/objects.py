"""Configurations of Kubernetes for the tests here, and the objects they come to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from afterrun_exporter.config import Config, parse
from afterrun_exporter.core.kubernetes import Kubernetes
from afterrun_exporter.rulegen import grafana, kubernetes, prometheus, render

GOOD: Final = Path(__file__).parents[2] / "configs/good"

#: Every key of `kubernetes:` but those of exporters outside the cluster.
INSIDE: Final = """
kubernetes:
  name: jobs
  namespace: monitoring
  labels: {release: kube-prometheus-stack}
  scrape:
    service: {app: afterrun}
    service_namespace: batch
    port: web
    path: /m
    scheme: https
    interval: 15s
    token: {secret: afterrun-token, key: token}
  secret: receivers
  dashboards:
    labels: {grafana_dashboard: "1"}
    annotations: {grafana_folder: Batch jobs}
"""
OUTSIDE: Final = """
kubernetes:
  scrape: {targets: ["afterrun.example.com:10707"], interval: 1m}
"""


def configured(section: str = INSIDE) -> Config:
    """Return a configuration that uses every key for Alertmanager, in UTC."""
    text = (GOOD / "alertmanager.yml").read_text()
    return parse(text.replace("Europe/Riga", "UTC") + section)


def files(config: Config, base: Mapping[str, Any] | None = None) -> Mapping[str, str]:
    """Return the text of each file, by its name."""
    made = kubernetes.files(
        config.kubernetes or Kubernetes(),
        rules(config),
        config.jobs,
        config.label_keys,
        config.alertmanager,
        base,
        dashboards(config.label_keys),
    )
    return {path.name: text for path, text in made.items()}


@cache
def dashboards(label_keys: tuple[str, ...]) -> Mapping[str, str]:
    """Return the dashboards, which take longer than the rest."""
    return grafana.dashboards(label_keys)


def rules(config: Config) -> Mapping[str, Any]:
    """Return the content of the rule file of *config*."""
    return prometheus.rules_file(config.jobs.values(), config.hash)


def objects(config: Config) -> list[Any]:
    """Return the objects in all files of *config*."""
    return [one for text in files(config).values() for one in documents(text)]


def documents(text: str) -> list[Any]:
    """Return the objects in a file, which says that it is generated."""
    assert text.startswith(render.HEADER)
    return list(yaml.safe_load_all(text))
