"""Random secrets, stored as digests."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

#: A stored secret: the name of the algorithm, and the digest.
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def digest(secret: str) -> str:
    """Return the digest of *secret* to store.

    A plain hash is enough for random secrets, which cannot be guessed. Passwords chosen
    by people need bcrypt instead.
    """
    return (
        f"sha256:{hashlib.sha256(secret.encode('utf-8', 'surrogatepass')).hexdigest()}"
    )


def is_one_of(secret: str, digests: Iterable[str]) -> bool:
    """Return True if *secret* matches one of *digests*.

    The time does not depend on the result.
    """
    candidate = digest(secret)
    matches = False
    for one in digests:
        matches |= hmac.compare_digest(candidate, one)
    return matches
