"""Opening of the store at a location."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from afterrun_exporter.errors import UnreachableStorageError
from afterrun_exporter.storage.location import Location
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Store

#: Seconds from one attempt to connect to the next.
RETRY: Final = 2.0

log = structlog.get_logger()


@asynccontextmanager
async def open_store(
    location: Location,
    on_commit: Callable[[float], None],
    sleep: Callable[[float], Awaitable[None]],
) -> AsyncIterator[Store]:
    """Open the store at *location* until the context ends.

    A server that cannot be reached is waited for with *sleep*. *on_commit* is called with
    the duration of each commit in seconds. Raises StorageError, and the errors of *sleep*.
    """
    if isinstance(location, Path):
        async with SQLiteStore.open(location, on_commit) as file_store:
            yield file_store
        return
    # Only here, because it needs a package that is optional.
    from afterrun_exporter.storage.postgres.store import PostgresStore  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        failure = ""
        while True:
            opening = PostgresStore.open(
                location.url, on_commit, password=location.password
            )
            try:
                store = await stack.enter_async_context(opening)
            except UnreachableStorageError as error:
                # One line for each reason, not for each attempt.
                if str(error) != failure:
                    failure = str(error)
                    log.warning("waiting_for_database", reason=failure)
                await sleep(RETRY)
            else:
                break
        if failure:
            log.info("database_reached", database=str(location))
        yield store
