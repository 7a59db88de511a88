"""Passwords of users, as bcrypt keeps them: checked beside everything else, and once."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import bcrypt

from afterrun_exporter.errors import TooManyLoginsError

#: Results that are remembered: of right passwords, and of wrong ones.
REMEMBERED: Final = 256
#: Checks that may wait for their turn. One takes a core for a tenth of a second.
MOST_WAITING: Final = 32
#: bcrypt looks at so many bytes of a password.
LONGEST: Final = 72


class Passwords:
    """Users and the hashes of their passwords.

    A check takes long, on purpose. Its result is remembered, so that a scrape costs
    nothing; and one who is no user takes as long as one who is.
    """

    def __init__(self, hashes: Mapping[str, str] | None = None) -> None:
        self._hashes = {name: text.encode() for name, text in (hashes or {}).items()}
        # The dearest one: the cost is the third part of $2b$10$...
        self._decoy = max(self._hashes.values(), key=_cost, default=b"")
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def is_known(self, user: str, password: str) -> bool:
        """Return whether this has been found right before."""
        return self._mark(user, password) in self._right

    async def is_right(self, user: str, password: str) -> bool:
        """Return whether *password* is that of *user*.

        Raises TooManyLoginsError while too many wait for that.
        """
        if not self._hashes:
            return False
        mark = self._mark(user, password)
        if (known := self._remembered(mark)) is not None:
            return known
        if self._waiting >= MOST_WAITING:
            raise TooManyLoginsError(
                "too many passwords are being checked: try again in a moment"
            )
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                # Somebody may have asked for the same meanwhile.
                if (known := self._remembered(mark)) is not None:
                    return known
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
        kept = self._hashes.get(user)
        given = password.encode("utf-8", "surrogatepass")[:LONGEST]
        try:
            right = bcrypt.checkpw(given, kept or self._decoy)
        except ValueError:
            # A password with a NUL in it.
            return False
        return right and kept is not None

    def _mark(self, user: str, password: str) -> bytes:
        # Keyed: it is of no use to whoever sees it.
        name = user.encode("utf-8", "surrogatepass")
        said = b"%d:%b%b" % (
            len(name),
            name,
            password.encode("utf-8", "surrogatepass"),
        )
        return blake2b(said, key=self._key, digest_size=32).digest()


def _cost(kept: bytes) -> int:
    return int(kept.split(b"$")[2])
