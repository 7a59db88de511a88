"""Services with a few jobs, as several tests need them."""

from __future__ import annotations

from typing import Any

from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job


def job_config(*jobs: Job, **more: Any) -> JobConfig:
    """Return a catalogue of *jobs*."""
    return JobConfig(jobs={job.name: job for job in jobs}, **more)
