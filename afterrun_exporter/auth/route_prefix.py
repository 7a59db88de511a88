"""The prefix of the paths of all endpoints, such as ``/afterrun``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

#: The prefix that a request had; it is no longer in its path.
PREFIX: Final[web.RequestKey[str]] = web.RequestKey("route_prefix", str)


@dataclass(frozen=True, slots=True)
class RoutePrefix:
    """A prefix without a slash at its end; "" for none.

    Unless it *is_required*, paths without it are the same: a proxy may have removed it.
    """

    path: str = ""
    is_required: bool = True

    def split(self, path: str) -> tuple[str, str] | None:
        """Return the prefix of *path* and its rest; None if the prefix is missing."""
        prefix = self.path
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return prefix, path[len(prefix) :]
        return None if prefix and self.is_required else ("", path)

    def starts(self, path: str) -> tuple[str, ...]:
        """Return *path*, the beginning of a path, as requests may have it."""
        if not self.path:
            return (path,)
        prefixed = f"{self.path}{path}"
        return (prefixed,) if self.is_required else (prefixed, path)


#: The default.
NO_PREFIX: Final = RoutePrefix()


def prefix_of(request: Mapping[Any, Any]) -> str:
    """Return the prefix that *request* had, to begin the paths in its response with."""
    prefix: str = request.get(PREFIX, "")
    return prefix
