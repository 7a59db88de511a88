"""Job names from texts of other systems.

The name of a text depends on that text alone, and on others with the same name: an
unrelated line that is added or removed renames no job.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

#: The maximum length of a job name.
LONGEST: Final = 128

_OTHER = re.compile(r"[^A-Za-z0-9._:-]+")
_DASHES = re.compile(r"-{2,}")


def job_name(text: str, default: str = "job") -> str:
    """Return *text* as a valid job name; *default* if no letter or digit is left."""
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    ascii_text = "".join(c for c in decomposed if not unicodedata.combining(c))
    name = _DASHES.sub("-", _OTHER.sub("-", ascii_text))
    return name.strip("-._:")[:LONGEST].rstrip("-._:") or default


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the valid *names*, of which repeated ones are numbered from the second on.

    ``backup``, ``backup`` become ``backup``, ``backup-2``. A number that is in a name
    of its own is skipped: that one stays as it is.
    """
    reserved = set(names)
    counts: Counter[str] = Counter()
    result = []
    for name in names:
        counts[name] += 1
        number = counts[name]
        unique = name
        while number > 1 and (unique := _numbered(name, number)) in reserved:
            number += 1
        counts[name] = number
        reserved.add(unique)
        result.append(unique)
    return result


def _numbered(name: str, number: int) -> str:
    suffix = f"-{number}"
    return name[: LONGEST - len(suffix)].rstrip("-._:") + suffix
