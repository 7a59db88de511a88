"""The only place that asks what time it is, and the only one that waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, Protocol, TypeVar

# A wall clock can jump while we sleep (NTP step, suspended machine), so no
# single nap is longer than this.
MAX_NAP: Final = 30.0

#: Seconds of work before everything else gets its turn.
STEP: Final = 0.002

T = TypeVar("T")


class Clock(Protocol):
    """The time of day, and waiting for it."""

    def now(self) -> float:
        """Return the current time in Unix seconds."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once ``now() >= when``, or when the clock has been set back.

        What was planned by the old time is then to be planned anew.
        """
        ...


class SystemClock:
    """The clock of the machine we run on."""

    def now(self) -> float:
        return time.time()

    async def sleep_until(self, when: float) -> None:
        before = now = self.now()
        while before <= now < when:
            await asyncio.sleep(min(when - now, MAX_NAP))
            before, now = now, self.now()


def stopwatch() -> float:
    """Return seconds from an arbitrary start, for measuring how long a thing takes."""
    return time.perf_counter()


async def breathe() -> None:
    """Let everything else that waits for the event loop go first."""
    await asyncio.sleep(0)


async def in_steps(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield *items*, and now and then let everything else go first."""
    until = stopwatch() + STEP
    for item in items:
        yield item
        if stopwatch() >= until:
            await breathe()
            until = stopwatch() + STEP
