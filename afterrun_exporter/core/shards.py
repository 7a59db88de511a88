"""Parts of the jobs that are scraped on their own: which job is in which."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

#: More would be targets without jobs.
MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Shard:
    """One of *count* parts of the jobs; *number* counts from 1."""

    number: int
    count: int

    def holds(self, name: str) -> bool:
        """Return whether the job of this name is in it: always in the same one."""
        if self.count == 1:
            return True
        digest = blake2b(name.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


#: All jobs.
WHOLE: Final = Shard(1, 1)


def parse_shard(number: str | None, count: str | None) -> Shard:
    """Return the shard that a request asks for; the whole where it asks for none.

    Raises ValueError with a sentence that says what is wrong.
    """
    if number is None and count is None:
        return WHOLE
    if number is None or count is None:
        raise ValueError("shard and shards go together, as in shard=1&shards=4")
    of = parse_count(count)
    return Shard(_number("shard", number, of), of)


def parse_count(text: str) -> int:
    """Return how many shards there are to be; raises ValueError like the above."""
    return _number("shards", text, MOST)


def _number(name: str, text: str, most: int) -> int:
    # int() takes more than digits; so many of them need no reading.
    known = text.isascii() and text.isdigit() and len(text) <= len(str(MOST))
    if not known or not 1 <= int(text) <= most:
        raise ValueError(f"{name} must be a number from 1 to {most}, not {text!r}")
    return int(text)
