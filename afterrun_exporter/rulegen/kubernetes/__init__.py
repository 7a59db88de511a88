"""Generation of Kubernetes objects for prometheus-operator and Grafana's sidecar."""

from __future__ import annotations

from afterrun_exporter.rulegen.kubernetes.objects import (
    ALERTMANAGER,
    DASHBOARDS,
    DIRECTORY,
    files,
)

__all__ = ["ALERTMANAGER", "DASHBOARDS", "DIRECTORY", "files"]
