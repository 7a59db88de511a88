"""The database of the daemon, opened at its start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

from afterrun_exporter.cli.banner import ListenConfig
from afterrun_exporter.cli.signals import Signals
from afterrun_exporter.clock import Clock
from afterrun_exporter.server.starting import answering_early
from afterrun_exporter.storage.location import Location
from afterrun_exporter.storage.opening import open_store
from afterrun_exporter.storage.store import Store


@asynccontextmanager
async def open_database(
    location: Location,
    on_commit: Callable[[float], None],
    listen_config: ListenConfig,
    signals: Signals,
    clock: Clock,
) -> AsyncIterator[Store]:
    """Open the store at *location* until the context ends.

    While a server cannot be reached, requests for the health of the daemon are answered.
    Raises StorageError, ValueError if an address cannot be bound, and StoppingError.
    """

    async def sleep(seconds: float) -> None:
        await signals.unless_stopped(clock.sleep(seconds))

    async with AsyncExitStack() as stack:
        early = answering_early(listen_config.binds, listen_config.security)
        # A file is opened at once, or not at all.
        async with nullcontext() if isinstance(location, Path) else early:
            store = await stack.enter_async_context(
                open_store(location, on_commit, sleep)
            )
        yield store
