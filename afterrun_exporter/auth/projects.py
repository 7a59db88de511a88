"""Who comes with the key of a project, and what that opens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.core.projects import Project

_PINGS: Final = frozenset({Scope.PING})
#: Cronitor's clients have one key for both.
_MANAGES: Final = frozenset({Scope.PING, Scope.MANAGE})


def project_callers(
    projects: Iterable[Project], project_of: Callable[[str], str | None]
) -> Mapping[str, Caller]:
    """Return whose each key of a project is, by its digest.

    *project_of* answers what project a job belongs to, None for one that nobody
    knows: that one will belong to whoever reports it first.
    """
    found: dict[str, Caller] = {}
    for one in projects:
        keys = ((one.ping_key, _PINGS), (one.api_key, _MANAGES))
        found |= {key: _caller(one.name, may, project_of) for key, may in keys if key}
    return found


def _caller(
    project: str, scopes: frozenset[Scope], project_of: Callable[[str], str | None]
) -> Caller:
    def pings(job: str) -> bool:
        return project_of(job) in {None, project}

    return Caller(f"project {project}", scopes, pings, project)
