"""Names of jobs in other systems: what people and URLs call them there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from afterrun_exporter.core.model import Job

_SLUG: Final = re.compile(r"[a-z0-9_-]+")


def name_of(job: Job) -> str:
    """Return the name that people know *job* by."""
    return job.display_name or job.name


def slug_of(name: str) -> str:
    """Return the slug that Healthchecks makes of a *name*; "" for none.

    As Django's `slugify` makes it of names in ASCII: their pings are sent to it.
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
    """Yield what else *job* is called, each as a "name" or a "slug"."""
    if not job.display_name:
        return
    yield "name", job.display_name
    if (slug := slug_of(job.display_name)) != job.name and slug:
        yield "slug", slug
