"""Periodic work in the background: a round that fails is logged, and the next one runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from afterrun_exporter.clock import Clock
from afterrun_exporter.errors import StorageError

FAILED: Final = "periodic_task_failed"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask:
    """Work that is repeated every *every* seconds until it is canceled.

    The first round starts after *first* seconds if that is given. A round that raises
    is logged as the event `FAILED` with the *name*.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    every: float
    first: float | None = None

    async def run(self, clock: Clock) -> None:
        """Repeat the work by *clock*, forever."""
        pause = self.every if self.first is None else self.first
        while True:
            await clock.sleep(pause)
            pause = self.every
            try:
                await self.work()
            except StorageError as error:
                # The message has the cause; a traceback would add nothing.
                log.error(FAILED, task=self.name, error=str(error))  # noqa: TRY400
            except Exception:
                log.exception(FAILED, task=self.name)


@asynccontextmanager
async def running(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run each piece of *work* in a separate task; cancel unfinished tasks at the end."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
