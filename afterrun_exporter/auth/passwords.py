"""Passwords of users, verified with bcrypt in a thread, with cached results."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import bcrypt

from afterrun_exporter.errors import TooManyLoginsError

#: The most cached results, of right and of wrong passwords each.
REMEMBERED: Final = 256
#: The most waiting checks. One takes a tenth of a second on one core.
MOST_WAITING: Final = 32
#: The number of bytes of a password that bcrypt uses.
LONGEST: Final = 72


class Passwords:
    """Users and the hashes of their passwords.

    A check is slow on purpose. Its result is cached, so that a scrape costs nothing. A
    check of an unknown user takes as long as one of a known user.
    """

    def __init__(self, hashes: Mapping[str, str] | None = None) -> None:
        self._hashes = {name: text.encode() for name, text in (hashes or {}).items()}
        # The hash with the highest cost, the second number of $2b$10$...
        self._decoy = max(
            self._hashes.values(), key=lambda one: int(one.split(b"$")[2]), default=b""
        )
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._checking = asyncio.Lock()
        self._waiting = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def is_verified(self, user: str, password: str) -> bool:
        """Return True if this password was verified before."""
        return self._mark(user, password) in self._right

    async def is_right(self, user: str, password: str) -> bool:
        """Return True if *password* is that of *user*; raise TooManyLoginsError."""
        if not self._hashes:
            return False
        mark = self._mark(user, password)
        if (cached := self._remembered(mark)) is not None:
            return cached
        if self._waiting >= MOST_WAITING:
            raise TooManyLoginsError(
                "too many passwords are being checked: try again in a moment"
            )
        self._waiting += 1
        try:
            async with self._checking:
                # A concurrent request may have checked the same password.
                if (cached := self._remembered(mark)) is not None:
                    return cached
                right = await asyncio.to_thread(self._check, user, password)
        finally:
            self._waiting -= 1
        results = self._right if right else self._wrong
        results[mark] = None
        if len(results) > REMEMBERED:
            results.popitem(last=False)
        return right

    def _remembered(self, mark: bytes) -> bool | None:
        if mark in self._right:
            self._right.move_to_end(mark)
            return True
        return False if mark in self._wrong else None

    def _check(self, user: str, password: str) -> bool:
        hash_ = self._hashes.get(user)
        secret = password.encode("utf-8", "surrogatepass")[:LONGEST]
        try:
            right = bcrypt.checkpw(secret, hash_ or self._decoy)
        except ValueError:
            # The password contains a NUL character.
            return False
        return right and hash_ is not None

    def _mark(self, user: str, password: str) -> bytes:
        # Keyed, so that cached marks are useless without the key.
        name = user.encode("utf-8", "surrogatepass")
        message = b"%d:%b%b" % (
            len(name),
            name,
            password.encode("utf-8", "surrogatepass"),
        )
        return blake2b(message, key=self._key, digest_size=32).digest()
