"""Schema of ``auth:``: tokens and their scopes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.tokens import Token
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.values import (
    Line,
    ListOf,
    NotEmpty,
    Pattern,
    refuse_repeats,
)
from afterrun_exporter.core.secrets import DIGEST

NO_HASH = (
    'is not the hash of a token: write "sha256:" and 64 hexadecimal digits, as '
    "`afterrun token new` prints it"
)


def _hash(value: object) -> str:
    # Not quoted, because it may be the token itself.
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        raise ValueError(NO_HASH)
    return value


def _some(scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    if not scopes:
        raise ValueError(f"is empty: list at least one of {', '.join(Scope)}")
    refuse_repeats(map(str, scopes), "scope")
    return scopes


class TokenSpec(Spec):
    """One of ``auth: {tokens:}``."""

    name: Line
    hash: Annotated[str, BeforeValidator(_hash)]
    scopes: Annotated[
        tuple[Annotated[Scope, Field(strict=False)], ...], ListOf, AfterValidator(_some)
    ]
    jobs: Annotated[Pattern | None, NotEmpty] = None

    @model_validator(mode="after")
    def _jobs_are_pinged(self) -> TokenSpec:
        if self.jobs is not None and (
            Scope.PING not in self.scopes or Scope.ADMIN in self.scopes
        ):
            raise ValueError(
                "jobs: only limits scope ping: a token with jobs must have that scope, and "
                "not admin, which may ping every job"
            )
        return self

    def token(self) -> Token:
        return Token(self.name, self.hash, frozenset(self.scopes), self.jobs)


def _distinct(tokens: tuple[TokenSpec, ...]) -> tuple[TokenSpec, ...]:
    if not tokens:
        raise ValueError(
            "no tokens: add one (`afterrun token new`), or remove auth:, which leaves "
            "the daemon without authentication"
        )
    refuse_repeats((token.name for token in tokens), "token")
    hashes = [token.hash for token in tokens]
    if len(set(hashes)) < len(hashes):
        raise ValueError("two tokens have the same hash: create another token")
    return tokens


class AuthSpec(Spec):
    """``auth:``. Without it, every client may do everything."""

    tokens: Annotated[tuple[TokenSpec, ...], ListOf, AfterValidator(_distinct)]
