"""Clocks and waiting; no other module reads or waits for them."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol, TypeVar, TypeVarTuple

from afterrun_exporter.core.clock_watch import ClockJump, jump

# A wall clock can jump during a sleep (NTP step, suspended machine), so no single
# sleep is longer than this.
MAX_SLEEP: Final = 1.0

#: Seconds of work before other tasks of the event loop run.
STEP: Final = 0.002

#: Without a clock that includes suspensions, those appear as steps of the wall clock.
_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

#: Seconds of computation before a thread yields to another one, during a long
#: computation beside the event loop. Python's default is 5 ms, and a report needs
#: several turns.
TURN: Final = 0.0002

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Clock(Protocol):
    """The time of day, elapsed time, and waiting for both."""

    def now(self) -> float:
        """Return the current time in Unix seconds. It can be set, also back."""
        ...

    def elapsed(self) -> float:
        """Return seconds from an arbitrary start, on a clock that is never set.

        It includes suspensions of the machine.
        """
        ...

    def look(self) -> ClockJump | None:
        """Return the step of the wall clock or the pause since the last call, if any.

        Call it at least once a second.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many *seconds*, independent of the wall clock."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once ``now() >= when``, or when the clock was set back.

        In that case the caller must plan again by the new time.
        """
        ...


class SystemClock:
    """The clock of this machine."""

    def __init__(self) -> None:
        self._looked_at = self.elapsed()
        self._offset = self.now() - self._looked_at

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.clock_gettime(_BOOTTIME)

    def look(self) -> ClockJump | None:
        wall, passed = self.now(), self.elapsed()
        jump_or_none = jump(self._offset, self._looked_at, wall, passed)
        if jump_or_none is not None:
            # The process may have been stopped between the two readings.
            wall, passed = self.now(), self.elapsed()
            jump_or_none = jump(self._offset, self._looked_at, wall, passed)
        self._looked_at = passed
        if jump_or_none is not None and jump_or_none.step:
            self._offset = wall - passed
        return jump_or_none

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, when: float) -> None:
        before = now = self.now()
        while before <= now < when:
            await asyncio.sleep(min(when - now, MAX_SLEEP))
            before, now = now, self.now()


def stopwatch() -> float:
    """Return seconds from an arbitrary start, for measuring durations."""
    return time.perf_counter()


async def yield_to_loop() -> None:
    """Yield to all other tasks that are ready on the event loop."""
    await asyncio.sleep(0)


async def jittered_sleep(seconds: float) -> None:
    """Return after *seconds*, or after up to half of them less."""
    await asyncio.sleep(random.uniform(seconds / 2, seconds))  # noqa: S311


class LoopTurn:
    """A turn of the event loop, which should end after `STEP` seconds of work."""

    def __init__(self) -> None:
        self._until = stopwatch() + STEP

    @property
    def is_over(self) -> bool:
        """True if other tasks have waited long enough."""
        return stopwatch() >= self._until

    async def end(self) -> None:
        """Yield to all other tasks that are ready, and begin the next turn."""
        await yield_to_loop()
        self._until = stopwatch() + STEP


async def cooperatively(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield *items*, and regularly let other tasks of the event loop run."""
    turn = LoopTurn()
    for item in items:
        yield item
        if turn.is_over:
            await turn.end()


async def in_background(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """Return the result of *function*, computed in a thread beside the event loop."""
    with _short_turns:
        return await asyncio.to_thread(function, *args)


class _ShortTurns:
    """Short turns of threads while any long computation is running."""

    def __init__(self) -> None:
        self._computations = 0
        self._before = 0.0

    def __enter__(self) -> None:
        if not self._computations:
            self._before = sys.getswitchinterval()
            sys.setswitchinterval(TURN)
        self._computations += 1

    def __exit__(self, *_: object) -> None:
        self._computations -= 1
        if not self._computations:
            sys.setswitchinterval(self._before)


_short_turns: Final = _ShortTurns()
