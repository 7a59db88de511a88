"""The database of the daemon, opened at its start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from pathlib import Path

from afterrun_exporter.auth.route_prefix import RoutePrefix
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
    prefix: RoutePrefix,
    signals: Signals,
    clock: Clock,
) -> AsyncIterator[tuple[Store, AsyncExitStack]]:
    """Open the store at *location* until the context ends.

    Yields also the context in which requests for the health of the daemon are answered
    early: while a server cannot be reached, and until the daemon listens itself. Raises
    StorageError, ValueError if an address cannot be bound, and StoppingError.
    """

    async def sleep(seconds: float) -> None:
        await signals.unless_stopped(clock.sleep(seconds))

    async with AsyncExitStack() as early:
        # A file is opened at once, or not at all.
        if not isinstance(location, Path):
            await early.enter_async_context(
                answering_early(listen_config.binds, listen_config.security, prefix)
            )
        async with open_store(location, on_commit, sleep) as store:
            yield store, early


@asynccontextmanager
async def take_over(
    early: AsyncExitStack, listener: AbstractAsyncContextManager[object]
) -> AsyncIterator[None]:
    """End the *early* answers, and enter *listener* in place of them."""
    await early.aclose()
    async with listener:
        yield
