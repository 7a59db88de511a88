"""afterrun.yml to core jobs, or to every problem it has at once."""

from __future__ import annotations

from afterrun_exporter.config.building import Config
from afterrun_exporter.config.loading import (
    default,
    load,
    parse,
    problem_at,
    read_text,
    warnings,
)

__all__ = ["Config", "default", "load", "parse", "problem_at", "read_text", "warnings"]
