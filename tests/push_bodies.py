"""Bodies of pushes, read at once."""

from __future__ import annotations

from collections.abc import Mapping

from afterrun_exporter.core.model import Job, Ping
from afterrun_exporter.core.pushed_metrics import Family
from afterrun_exporter.dialects.pushgateway.samples import PushReader
from afterrun_exporter.dialects.pushgateway.text_format import (
    Exposed,
    family_steps,
    text_steps,
)
from afterrun_exporter.ingest.report_metrics import ReportMetrics


def read_text(body: bytes) -> Exposed:
    """Return the contents of *body*; raise PingError if it is not in the text format."""
    exposed = Exposed()
    for _ in text_steps(body, exposed):
        pass
    return exposed


def families_of(exposed: Exposed, group: Mapping[str, str]) -> dict[str, Family]:
    """Return the families of a push to *group*; raise PingError if they are invalid."""
    families: dict[str, Family] = {}
    for _ in family_steps(exposed, group, families):
        pass
    return families


def ping_of(
    job: str,
    group: Mapping[str, str],
    exposed: Exposed,
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
    known_job: Job | None = None,
) -> tuple[Ping, ReportMetrics]:
    """Return the ping for a push, and its metrics."""
    reader = PushReader(known_job, job, group, metrics_limit)
    for sample in exposed.samples:
        reader.read(sample)
    return reader.ping(at, fingerprint, exposed)
