"""Opening of the store at a location."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.location import Location
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Store


@asynccontextmanager
async def open_store(
    location: Location,
    on_commit: Callable[[float], None],
    sleep: Callable[[float], Awaitable[None]],  # noqa: ARG001 - for PostgreSQL
) -> AsyncIterator[Store]:
    """Open the store at *location* until the context ends.

    A server that cannot be reached is waited for with *sleep*. *on_commit* is called with
    the duration of each commit in seconds. Raises StorageError, and the errors of *sleep*.
    """
    if isinstance(location, Path):
        async with SQLiteStore.open(location, on_commit) as store:
            yield store
        return
    raise StorageError(f"cannot use {location}: PostgreSQL is not ready to be used")
