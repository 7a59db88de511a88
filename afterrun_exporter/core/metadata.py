"""Metadata of a run, from the reports of its start, its progress and its end."""

from __future__ import annotations

import json
from typing import Any, Final

#: Maximum of metadata characters to keep with an open run: it is stored again with
#: each report of its job.
MAX_OPEN: Final = 4096

#: The number of fields that a warning names.
MAX_NAMED: Final = 3


def merged(earlier: str, later: str) -> str:
    """Return the fields of two JSON objects as one; *later* takes precedence."""
    if not earlier or not later or earlier == later:
        return later or earlier
    fields: dict[str, Any] = json.loads(earlier)
    return json.dumps(fields | json.loads(later))


def bounded(text: str) -> tuple[str, tuple[str, ...]]:
    """Return *text* cut for an open run, and a warning if fields were omitted.

    Fields are kept from the first on, as far as they fit.
    """
    if len(text) <= MAX_OPEN:
        return text, ()
    fields: dict[str, Any] = {}
    room = MAX_OPEN - len("{}")
    omitted: list[str] = []
    for name, value in json.loads(text).items():
        size = len(json.dumps({name: value}))
        if size <= room:
            fields[name] = value
            room -= size
        else:
            omitted.append(f"{name[:40]!r}")
    more = ", ..." if len(omitted) > MAX_NAMED else ""
    warning = (
        f"metadata: {', '.join(omitted[:MAX_NAMED])}{more} left out: no more than "
        f"{MAX_OPEN} characters are kept of an open run; send the rest with its end"
    )
    return json.dumps(fields) if fields else "", (warning,)
