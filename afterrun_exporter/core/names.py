"""Names of jobs in other systems, for people and URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from afterrun_exporter.core.model import Job

_SLUG: Final = re.compile(r"[a-z0-9_-]+")


def name_of(job: Job) -> str:
    """Return the name of *job* for people."""
    return job.display_name or job.name


def slug_of(name: str) -> str:
    """Return the slug that Healthchecks would create from *name*; "" for none.

    Like Django's `slugify` for ASCII names: clients send pings to that slug.
    """
    if not name.isascii():
        return ""
    words = re.sub(r"[^\w\s-]", "", name.lower())
    return re.sub(r"[-\s]+", "-", words).strip("-_")


def job_slug(job: Job) -> str:
    """Return the slug in the URL of *job*."""
    if _SLUG.fullmatch(job.name):
        return job.name
    return slug_of(job.display_name) or job.name


def aliases(job: Job) -> Iterator[tuple[str, str]]:
    """Yield the other names of *job*, each as a "name" or a "slug"."""
    if not job.display_name:
        return
    yield "name", job.display_name
    if (slug := slug_of(job.display_name)) != job.name and slug:
        yield "slug", slug
