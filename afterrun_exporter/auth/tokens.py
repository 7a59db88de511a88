"""Configured tokens, and generation of new ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.core.patterns import compiled

#: The prefix of every token, by which secret scanners can recognize leaked tokens.
PREFIX: Final = "ar_"


@dataclass(frozen=True, slots=True)
class Token:
    """A configured token: its hash and its permissions."""

    name: str
    hash: str
    scopes: frozenset[Scope]
    #: A regular expression for the full names of the jobs that may be pinged.
    jobs: str | None = None

    def caller(self) -> Caller:
        """Return the caller with this token."""
        if self.jobs is None:
            return Caller(self.name, self.scopes)
        # Cached, because one token reports the same jobs repeatedly.
        matches = lru_cache(maxsize=4096)(compiled(self.jobs).fullmatch)
        return Caller(self.name, self.scopes, matches)


def callers(tokens: Iterable[Token]) -> Mapping[str, Caller]:
    """Return the callers by the hashes of their tokens."""
    return {token.hash: token.caller() for token in tokens}


def new_token() -> str:
    """Return a random token that needs no quoting in a URL, a header or a shell."""
    return PREFIX + secrets.token_urlsafe(32)
