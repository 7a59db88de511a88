"""The dashboards, as data: all jobs, one job, the exporter itself."""

from __future__ import annotations

from collections.abc import Sequence

from afterrun_exporter.rulegen.dashboards import exporter, job, overview
from afterrun_exporter.rulegen.panels import Dashboard


def dashboards(label_keys: Sequence[str] = ()) -> tuple[Dashboard, ...]:
    """Return every dashboard; *label_keys* are those that the configuration declares."""
    return (
        overview.dashboard(label_keys),
        job.dashboard(label_keys),
        exporter.dashboard(),
    )
