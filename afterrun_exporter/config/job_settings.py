"""Validation of the settings of one job, without the rest of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from afterrun_exporter.config.schema import JobSpec
from afterrun_exporter.config.values import Declared
from afterrun_exporter.validation_messages import Finding, findings


def job_findings(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the problems of *settings*, which use no labels."""
    try:
        JobSpec.model_validate(settings, context=Declared(()))
    except ValidationError as error:
        yield from findings(JobSpec, dict(settings), error)
