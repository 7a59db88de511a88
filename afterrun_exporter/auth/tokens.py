"""Tokens: what the configuration says of them, and new ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.core.patterns import compiled

#: What every token begins with: it can be found where it should not be.
PREFIX: Final = "ar_"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept: not itself, but what it opens."""

    name: str
    hash: str
    scopes: frozenset[Scope]
    #: A regular expression; it fits the whole names of the jobs that may be pinged.
    jobs: str | None = None

    def caller(self) -> Caller:
        """Return who has shown this token."""
        if self.jobs is None:
            return Caller(self.name, self.scopes)
        # One token reports the same jobs again and again.
        fits = lru_cache(maxsize=4096)(compiled(self.jobs).fullmatch)
        return Caller(self.name, self.scopes, fits)


def callers(tokens: Iterable[Token]) -> Mapping[str, Caller]:
    """Return whose each token is, by its hash."""
    return {token.hash: token.caller() for token in tokens}


def new_token() -> str:
    """Return a token that nobody can guess, fit for a URL, a header and a shell."""
    return PREFIX + secrets.token_urlsafe(32)
