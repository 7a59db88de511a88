"""What a request brings along to show who sends it."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: How other systems' clients send theirs in a header.
API_KEY: Final = "X-Api-Key"
SENTRY_AUTH: Final = "X-Sentry-Auth"
SENTRY_KEY: Final = "sentry_key"

#: Longer ones are nobody's: a header is not that long.
LONGEST: Final = 4096

_SENTRY: Final = re.compile(r"\bsentry_key\s*=\s*([^\s,]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """All that may be a token, and a name with a password."""

    tokens: tuple[str, ...] = ()
    user: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.tokens) or self.user is not None


def authorization(header: str) -> Credentials:
    """Return what an Authorization header says; nothing where it says nothing known.

    A token may be the password of any user, for those who are asked for one; or the
    user without a password, as Cronitor's clients send it.
    """
    kind, _, value = header.partition(" ")
    value = value.strip()
    match kind.lower():
        case "bearer" if value:
            return Credentials((value,))
        case "basic":
            return _basic(value)
    return Credentials()


def sentry(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Return the public key that one of Sentry's clients sends; "" if it sends none."""
    if found := _SENTRY.search(headers.get(SENTRY_AUTH, "")):
        return found[1]
    return query.get(SENTRY_KEY, "")


def _basic(value: str) -> Credentials:
    try:
        name, colon, password = b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return Credentials()
    if not colon:
        return Credentials()
    token = password or name
    return Credentials((token,) if token else (), (name, password))
