"""Services with a few jobs, as several tests need them."""

from __future__ import annotations

from typing import Any

from afterrun_exporter.core.job_config import Catalogue
from afterrun_exporter.core.model import Job


def catalogue(*jobs: Job, **more: Any) -> Catalogue:
    """Return a catalogue of *jobs*."""
    return Catalogue(jobs={job.name: job for job in jobs}, **more)
