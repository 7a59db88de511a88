"""Metadata of a run that its start, its progress and its end report."""

from __future__ import annotations

import json
from typing import Any, Final

#: Characters of metadata that are kept with an open run: it is stored again with each
#: report of its job.
MAX_OPEN: Final = 4096

#: Fields that a warning names.
MAX_NAMED: Final = 3


def merged(earlier: str, later: str) -> str:
    """Return the fields of two JSON objects as one; *later* wins where both have one."""
    if not earlier or not later or earlier == later:
        return later or earlier
    fields: dict[str, Any] = json.loads(earlier)
    return json.dumps(fields | json.loads(later))


def bounded(text: str) -> tuple[str, tuple[str, ...]]:
    """Return *text* as it is kept with an open run, and a warning if that is not all.

    Of a long one those fields are kept, from the first on, that there is room for.
    """
    if len(text) <= MAX_OPEN:
        return text, ()
    kept: dict[str, Any] = {}
    room = MAX_OPEN - len("{}")
    left_out: list[str] = []
    for name, value in json.loads(text).items():
        size = len(json.dumps({name: value}))
        if size <= room:
            kept[name] = value
            room -= size
        else:
            left_out.append(f"{name[:40]!r}")
    more = ", ..." if len(left_out) > MAX_NAMED else ""
    warning = (
        f"metadata: {', '.join(left_out[:MAX_NAMED])}{more} left out: no more than "
        f"{MAX_OPEN} characters are kept of an open run; send the rest with its end"
    )
    return json.dumps(kept) if kept else "", (warning,)
