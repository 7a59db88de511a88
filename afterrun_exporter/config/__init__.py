"""afterrun.yml to core jobs, or to every problem it has at once."""

from __future__ import annotations

from afterrun_exporter.config.building import Config
from afterrun_exporter.config.loading import (
    default,
    load,
    parse,
    parse_source,
    problem_at,
    warnings,
)
from afterrun_exporter.config.source import Source, read, read_text

__all__ = [
    "Config",
    "Source",
    "default",
    "load",
    "parse",
    "parse_source",
    "problem_at",
    "read",
    "read_text",
    "warnings",
]
