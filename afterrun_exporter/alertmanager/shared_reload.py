"""Reloads of Alertmanager that several changes of its file share."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

from afterrun_exporter.clock import Clock

#: Seconds after a reload in which changes share the next one.
EVERY: Final = 2.0

#: Seconds until a reload is repeated if Alertmanager does not respond.
RETRY: Final = 30.0

#: The most seconds that a shutdown waits for a reload; the next start repeats it.
PATIENCE: Final = 2.0


class SharedReload:
    """The next reload of Alertmanager, for all changes until then.

    Alertmanager reads the whole file with each reload, so one for each of 2,000
    receivers, added one after another, would take half an hour.
    """

    def __init__(self, clock: Clock, reload: Callable[[], Awaitable[bool]]) -> None:
        self._clock = clock
        #: Reloads Alertmanager; returns False if it does not respond.
        self._reload = reload
        self._last = -math.inf
        self._task: asyncio.Task[None] | None = None

    @property
    def is_near(self) -> bool:
        """True if the last reload was a moment ago, and successful."""
        return self._clock.elapsed() < self._last + EVERY

    def note(self) -> None:
        """Record that Alertmanager has loaded the current file."""
        self._last = self._clock.elapsed()

    def schedule(self) -> None:
        """Reload once the last reload is long enough ago."""
        if self._task is None:
            seconds = max(0.0, self._last + EVERY - self._clock.elapsed())
            self._task = asyncio.create_task(self._later(seconds))

    async def finish(self) -> None:
        """Reload now if a reload is pending, as part of a shutdown."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
            async with asyncio.timeout(PATIENCE):
                await self._reload()

    async def _later(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        # Changes during the reload need another one.
        self._task = None
        if not await self._reload() and self._task is None:
            self._last = -math.inf
            self._task = asyncio.create_task(self._later(RETRY))
