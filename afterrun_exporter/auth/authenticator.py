"""Authentication by the tokens of afterrun.yml and the users of the web configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from afterrun_exporter.auth.callers import ANYBODY, Caller, Scope
from afterrun_exporter.auth.credentials import Credentials, authorization
from afterrun_exporter.auth.passwords import Passwords
from afterrun_exporter.core.secrets import digest

#: The scope of users of the web configuration: everything, as with every exporter.
_EVERYTHING: Final = frozenset({Scope.ADMIN})


class Authenticator:
    """Identifies callers by their credentials, which can be replaced at any time."""

    def __init__(self) -> None:
        #: Callers by the digests of their tokens.
        self._tokens: Mapping[str, Caller] = {}
        self._projects: Mapping[str, Caller] = {}
        self._passwords = Passwords()

    @property
    def is_open(self) -> bool:
        """True if no credentials are configured: every request is allowed."""
        return not self._tokens and not self._passwords

    def trust_tokens(self, callers: Mapping[str, Caller]) -> None:
        """Replace the set of accepted tokens, keyed by digest."""
        self._tokens = dict(callers)

    def trust_projects(self, callers: Mapping[str, Caller]) -> None:
        """Replace the set of accepted project keys, keyed by digest.

        Project keys alone do not require authentication: see `is_open`.
        """
        self._projects = dict(callers)

    def trust_users(self, hashes: Mapping[str, str]) -> None:
        """Replace the set of users, with the bcrypt hashes of their passwords."""
        self._passwords = Passwords(hashes)

    def caller_if_known(self, header: str) -> Caller | None:
        """Return the caller with this Authorization header, if known without hashing."""
        if self.is_open:
            return ANYBODY
        credentials = authorization(header)
        if caller := self._by_token(credentials):
            return caller
        if credentials.user is not None and self._passwords.is_verified(
            *credentials.user
        ):
            return Caller(credentials.user[0], _EVERYTHING)
        return None

    async def caller(self, credentials: Credentials) -> Caller | None:
        """Return the caller with these credentials; None if they are invalid.

        Raises TooManyLoginsError.
        """
        if self.is_open:
            return ANYBODY
        if caller := self._by_token(credentials):
            return caller
        if credentials.user is not None and await self._passwords.is_right(
            *credentials.user
        ):
            return Caller(credentials.user[0], _EVERYTHING)
        return None

    def _by_token(self, credentials: Credentials) -> Caller | None:
        # Digests are looked up, so that the duration of a lookup does not reveal how
        # similar a token is to a valid one.
        for mark in map(digest, credentials.tokens):
            if caller := self._tokens.get(mark) or self._projects.get(mark):
                return caller
        return None
