"""Credentials in requests."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Headers and fields with the keys of other systems' clients.
API_KEY: Final = "X-Api-Key"
SENTRY_AUTH: Final = "X-Sentry-Auth"
SENTRY_KEY: Final = "sentry_key"

_SENTRY: Final = re.compile(r"\bsentry_key\s*=\s*([^\s,]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Possible tokens, and a user name with a password."""

    tokens: tuple[str, ...] = ()
    user: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.tokens) or self.user is not None


def authorization(header: str) -> Credentials:
    """Return the credentials in an Authorization header; none for an unknown scheme.

    With Basic authentication, the token may be the password of any user name, or the
    user name without a password, as Cronitor's clients send it.
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
    """Return the public key from a Sentry client; "" if there is none."""
    if key_match := _SENTRY.search(headers.get(SENTRY_AUTH, "")):
        return key_match[1]
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
