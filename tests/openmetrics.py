"""The strict parser of OpenMetrics."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.openmetrics import parser


def openmetrics_families(text: str) -> list[Metric]:
    """Return all that *text* has; raise ValueError if it is not OpenMetrics."""
    return list(parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
