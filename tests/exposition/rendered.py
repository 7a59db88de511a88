"""The text of jobs for a scrape, without caches."""

from __future__ import annotations

from collections.abc import Iterable

from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.families import FAMILIES, opening


def render(jobs: Iterable[tuple[Job, JobState]], settings: Settings) -> bytes:
    """Return the text of all families for *jobs*, without caches."""
    subjects = [ExposedJob(job, state, settings) for job, state in jobs]
    return b"".join(
        piece
        for family in FAMILIES
        for piece in (opening(family), "".join(family.lines(subjects)).encode())
    )
