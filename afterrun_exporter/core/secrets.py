"""Secrets that are random, as they are kept: by a digest that tells nothing of them."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

#: How a secret is kept: the name of the algorithm, and what it makes of the secret.
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def digest(secret: str) -> str:
    """Return what is kept of *secret*.

    A plain hash is enough: nobody can go through all random secrets. A password
    that a person has thought up wants bcrypt instead.
    """
    return (
        f"sha256:{hashlib.sha256(secret.encode('utf-8', 'surrogatepass')).hexdigest()}"
    )


def is_one_of(secret: str, digests: Iterable[str]) -> bool:
    """Return whether *secret* is one of those kept as *digests*.

    It takes as long whether it is or not, and whichever it is.
    """
    given = digest(secret)
    found = False
    for known in digests:
        found |= hmac.compare_digest(given, known)
    return found
