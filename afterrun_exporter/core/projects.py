"""Projects: jobs whose reports and descriptions come in under keys of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.core.secrets import is_one_of

#: A key in the clear, as it may stand in a URL.
KEY: Final = re.compile(r"[-_A-Za-z0-9]{8,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project, and what is kept of its keys; "" where it has none."""

    name: str
    #: Opens ping URLs of its jobs: ``/ping/KEY/SLUG``.
    ping_key: str = ""
    #: Opens the management of its jobs.
    api_key: str = ""


def by_ping_key(projects: Iterable[Project], key: str) -> Project | None:
    """Return the project that has this ping key, None where none has."""
    return _only(one for one in projects if is_one_of(key, [one.ping_key]))


def by_api_key(projects: Iterable[Project], key: str) -> Project | None:
    """Return the project that has this API key, None where none has."""
    return _only(one for one in projects if is_one_of(key, [one.api_key]))


def _only(found: Iterable[Project]) -> Project | None:
    # All of them are looked at: how long that takes tells nothing.
    return next(iter(list(found)), None)
