"""Projects: groups of jobs with their own keys for reports and descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.core.secrets import is_one_of

#: A key in plain text, as allowed in a URL.
KEY: Final = re.compile(r"[-_A-Za-z0-9]{8,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project, and the digests of its keys; "" for a missing key."""

    name: str
    #: Authorizes pings of its jobs: ``/ping/KEY/SLUG``.
    ping_key: str = ""
    #: Authorizes the management of its jobs.
    api_key: str = ""


def by_ping_key(projects: Iterable[Project], key: str) -> Project | None:
    """Return the project with this ping key, or None."""
    return _only(one for one in projects if is_one_of(key, [one.ping_key]))


def by_api_key(projects: Iterable[Project], key: str) -> Project | None:
    """Return the project with this API key, or None."""
    return _only(one for one in projects if is_one_of(key, [one.api_key]))


def _only(matches: Iterable[Project]) -> Project | None:
    # All projects are compared, so that the time reveals nothing.
    return next(iter(list(matches)), None)
