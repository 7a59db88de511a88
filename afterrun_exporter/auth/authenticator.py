"""Who is let in: the tokens of afterrun.yml, and the users of the web configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from afterrun_exporter.auth.callers import ANYBODY, Caller, Keyring, Scope
from afterrun_exporter.auth.credentials import Credentials, authorization
from afterrun_exporter.auth.passwords import Passwords

#: What a user of the web configuration may do, as with every exporter: everything.
_EVERYTHING: Final = frozenset({Scope.ADMIN})


class Authenticator:
    """Knows callers by what they show; both can be exchanged while it stands."""

    def __init__(self) -> None:
        self._keyring = Keyring()
        self._projects = Keyring()
        self._passwords = Passwords()

    @property
    def is_open(self) -> bool:
        """Whether there is nothing to show: everybody may do everything."""
        return not self._keyring and not self._passwords

    def trust_tokens(self, callers: Mapping[str, Caller]) -> None:
        """Let in whoever shows a token, by its digest; nobody else has one."""
        self._keyring = Keyring(callers)

    def trust_projects(self, callers: Mapping[str, Caller]) -> None:
        """Let in whoever shows the key of a project, by its digest.

        Where nothing else is to be shown they are no locks: everybody is let in.
        """
        self._projects = Keyring(callers)

    def trust_users(self, hashes: Mapping[str, str]) -> None:
        """Let in the users with these bcrypt hashes; there are no others."""
        self._passwords = Passwords(hashes)

    def at_once(self, header: str) -> Caller | None:
        """Return who sends this Authorization, if that can be told without waiting."""
        if self.is_open:
            return ANYBODY
        shown = authorization(header)
        if found := self._by_token(shown):
            return found
        if shown.user is not None and self._passwords.is_known(*shown.user):
            return Caller(shown.user[0], _EVERYTHING)
        return None

    async def caller(self, shown: Credentials) -> Caller | None:
        """Return who shows this; None if that is nobody.

        Raises TooManyLoginsError.
        """
        if self.is_open:
            return ANYBODY
        if found := self._by_token(shown):
            return found
        if shown.user is not None and await self._passwords.is_right(*shown.user):
            return Caller(shown.user[0], _EVERYTHING)
        return None

    def _by_token(self, shown: Credentials) -> Caller | None:
        for token in shown.tokens:
            if found := self._keyring.find(token) or self._projects.find(token):
                return found
        return None
