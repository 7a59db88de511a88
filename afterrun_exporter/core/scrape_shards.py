"""Shards: parts of the jobs that are scraped separately."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

#: The maximum number of shards; more would have no jobs.
MAX_SHARDS: Final = 100


@dataclass(frozen=True, slots=True)
class Shard:
    """One of *count* parts of the jobs; *number* counts from 1."""

    number: int
    count: int

    def holds(self, name: str) -> bool:
        """Return True if the job of this name is in the shard, which never changes."""
        if self.count == 1:
            return True
        digest = blake2b(name.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


#: All jobs.
WHOLE: Final = Shard(1, 1)


def parse_shard(number: str | None, count: str | None) -> Shard:
    """Return the requested shard; all jobs without a request.

    Raises ValueError with the problem.
    """
    if number is None and count is None:
        return WHOLE
    if number is None or count is None:
        raise ValueError("shard and shards go together, as in shard=1&shards=4")
    total = parse_count(count)
    return Shard(_number("shard", number, total), total)


def parse_count(text: str) -> int:
    """Return the number of shards; raises ValueError if invalid."""
    return _number("shards", text, MAX_SHARDS)


def _number(name: str, text: str, maximum: int) -> int:
    # int() accepts more than digits; long texts are not parsed.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SHARDS))
    if not is_number or not 1 <= int(text) <= maximum:
        raise ValueError(f"{name} must be a number from 1 to {maximum}, not {text!r}")
    return int(text)
