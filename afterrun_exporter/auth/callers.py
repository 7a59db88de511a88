"""Who asks, and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from afterrun_exporter.core.projects import Project
from afterrun_exporter.core.secrets import digest


class Scope(StrEnum):
    """What a caller may be allowed to do; one does not include another."""

    #: Report runs: of all jobs, or of some.
    PING = "ping"
    #: Read the metrics, and where they are.
    SCRAPE = "scrape"
    #: Read the page and the API.
    READ = "read"
    #: Say what jobs are, pause and remove them, over the APIs of other systems.
    MANAGE = "manage"
    #: Do everything.
    ADMIN = "admin"


def every_job(_: str) -> bool:
    """Say that runs of any job may be reported."""
    return True


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has shown who they are, or need not."""

    name: str
    scopes: frozenset[Scope]
    #: Says of the name of a job whether its runs may be reported.
    pings: Callable[[str], object] = every_job
    #: Whose jobs these are, for who has come with the key of a project.
    project: str = ""

    def may(self, scope: Scope, job: str = "") -> bool:
        """Return whether this caller may do that: with *job*, where it is one's."""
        if Scope.ADMIN in self.scopes:
            return True
        if scope not in self.scopes:
            return False
        return not job or scope is not Scope.PING or bool(self.pings(job))


#: Who asks a daemon that has no locks.
ANYBODY: Final = Caller("anybody", frozenset(Scope))


class Keyring:
    """The callers, by the digests of their tokens."""

    def __init__(self, callers: Mapping[str, Caller] | None = None) -> None:
        self._callers = dict(callers or {})

    def __len__(self) -> int:
        return len(self._callers)

    def find(self, token: str) -> Caller | None:
        """Return whose *token* it is; None if it is nobody's.

        Tokens are never compared. What is looked up is the digest of what was sent,
        which tells nothing of a token that is nearly the same: so the time that it
        takes tells nothing either.
        """
        return self._callers.get(digest(token))


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
