"""Callers and their scopes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.projects import Project


class Scope(StrEnum):
    """A permission of a caller; except for ADMIN, no scope includes another."""

    #: Report runs of all jobs, or of some.
    PING = "ping"
    #: Read the metrics and the scrape targets.
    SCRAPE = "scrape"
    #: Read the page and the API.
    READ = "read"
    #: Describe, pause and remove jobs through the APIs of other systems.
    MANAGE = "manage"
    #: Reload the configuration, such as a webhook of a git repository.
    RELOAD = "reload"
    #: Do everything.
    ADMIN = "admin"


def every_job(_: str) -> bool:
    """Return True: runs of any job may be reported."""
    return True


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated sender of a request, or the anonymous one."""

    name: str
    scopes: frozenset[Scope]
    #: Returns a true value for the name of a job that may be reported.
    pings: Callable[[str], object] = every_job
    #: The project, if the caller used the key of a project.
    project: str = ""

    @property
    def label(self) -> str:
        """The caller in error messages."""
        if self.project:
            return f'key of project "{self.project}"'
        return f'token "{self.name}"'

    def may(self, scope: Scope, job: str = "") -> bool:
        """Return True if the caller has *scope*; for pings, also for *job*."""
        if Scope.ADMIN in self.scopes:
            return True
        if scope not in self.scopes:
            return False
        return not job or scope is not Scope.PING or bool(self.pings(job))


#: The caller of every request if no authentication is configured.
ANYBODY: Final = Caller("anybody", frozenset(Scope))


_PINGS: Final = frozenset({Scope.PING})
#: Cronitor's clients have one key for both.
_MANAGES: Final = frozenset({Scope.PING, Scope.MANAGE})


def project_callers(
    projects: Iterable[Project], project_of: Callable[[str], str | None]
) -> Mapping[str, Caller]:
    """Return the callers of all projects, by the digest of their keys.

    *project_of* returns the project of a job, or None for an unknown job: that job will
    belong to the project that reports it first.
    """
    callers: dict[str, Caller] = {}
    for one in projects:
        keys = ((one.ping_key, _PINGS), (one.api_key, _MANAGES))
        callers |= {key: _caller(one.name, may, project_of) for key, may in keys if key}
    return callers


def _caller(
    project: str, scopes: frozenset[Scope], project_of: Callable[[str], str | None]
) -> Caller:
    def pings(job: str) -> bool:
        return project_of(job) in {None, project}

    return Caller(f"project {project}", scopes, pings, project)
