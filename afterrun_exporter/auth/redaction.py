"""Removal of keys from paths that are logged or returned."""

from __future__ import annotations

import re
from typing import Final

from afterrun_exporter.auth.tokens import PREFIX

#: The replacement for a key.
HIDDEN: Final = "***"

#: ``/ping/KEY/SLUG`` and ``/p/KEY/JOB``, but not ``/ping/JOB/start`` or ``/ping/UUID/1``.
_FIRST: Final = re.compile(
    r"^(/(?:ping|p)/)(?![0-9a-fA-F]{8}-[0-9a-fA-F-]{27}/)[^/?]+"
    r"(?=/(?!(?:start|fail|log|\d+)/?(?:\?|$))[^/?])"
)
#: ``/api/42/cron/SLUG/KEY`` and ``/api/42/unreal/KEY``.
_LAST: Final = re.compile(r"^(/api/\d+/(?:cron/[^/?]+|unreal)/)[^/?]+")
#: A token of this daemon, anywhere in a path.
_TOKEN: Final = re.compile(rf"({re.escape(PREFIX)})[A-Za-z0-9_-]{{40,}}")
_QUERY: Final = re.compile(r"([?&](?:sentry_key|api_key)=)[^&]+")


def without_key(path: str) -> str:
    """Return *path*, with or without a query, with its key replaced.

    A path segment in the place of a job is kept, even if it could be a key.
    """
    for pattern in (_FIRST, _LAST, _QUERY, _TOKEN):
        path = pattern.sub(rf"\1{HIDDEN}", path)
    return path
