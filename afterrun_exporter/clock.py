"""The only place that reads clocks, and the only one that waits for them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, ParamSpec, Protocol, TypeVar

from afterrun_exporter.core.clock_watch import ClockJump, jump

# A wall clock can jump while we sleep (NTP step, suspended machine), so no
# single nap is longer than this.
MAX_NAP: Final = 1.0

#: Seconds of work before everything else gets its turn.
STEP: Final = 0.002

#: Without a clock that goes on during a suspension, that is a step of the wall clock.
_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

#: Seconds that a thread may compute before another one gets its turn, while a long
#: computation runs beside the event loop. Python's default is 5 ms, and a report needs
#: several turns.
TURN: Final = 0.0002

T = TypeVar("T")
P = ParamSpec("P")


class Clock(Protocol):
    """The time of day, the time that passes, and waiting for both."""

    def now(self) -> float:
        """Return the current time in Unix seconds. It can be set, also back."""
        ...

    def elapsed(self) -> float:
        """Return seconds from an arbitrary start, which are never set.

        They go on while the machine is suspended.
        """
        ...

    def look(self) -> ClockJump | None:
        """Return the step of the wall clock or the pause since the last call, if any.

        It must be called at least once a second.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many *seconds*, whatever is done to the wall clock."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once ``now() >= when``, or when the clock has been set back.

        What was planned by the old time is then to be planned anew.
        """
        ...


class SystemClock:
    """The clock of the machine we run on."""

    def __init__(self) -> None:
        self._looked_at = self.elapsed()
        self._offset = self.now() - self._looked_at

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.clock_gettime(_BOOTTIME)

    def look(self) -> ClockJump | None:
        wall, passed = self.now(), self.elapsed()
        noticed = jump(self._offset, self._looked_at, wall, passed)
        if noticed is not None:
            # The process may have been stopped between reading the one and the other.
            wall, passed = self.now(), self.elapsed()
            noticed = jump(self._offset, self._looked_at, wall, passed)
        self._looked_at = passed
        if noticed is not None and noticed.step:
            self._offset = wall - passed
        return noticed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, when: float) -> None:
        before = now = self.now()
        while before <= now < when:
            await asyncio.sleep(min(when - now, MAX_NAP))
            before, now = now, self.now()


def stopwatch() -> float:
    """Return seconds from an arbitrary start, for measuring how long a thing takes."""
    return time.perf_counter()


async def yield_to_loop() -> None:
    """Let everything else that waits for the event loop go first."""
    await asyncio.sleep(0)


async def cooperatively(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield *items*, and now and then let everything else go first."""
    until = stopwatch() + STEP
    for item in items:
        yield item
        if stopwatch() >= until:
            await yield_to_loop()
            until = stopwatch() + STEP


async def in_background(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return the result of *function*, computed in a thread beside the event loop."""
    with _short_turns:
        return await asyncio.to_thread(function, *args, **kwargs)


class _ShortTurns:
    """Short turns of threads, as long as any computation needs them."""

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
