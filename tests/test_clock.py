"""Waiting for a time of day, on a clock that somebody may set."""

from __future__ import annotations

import asyncio
import sys

import pytest

from afterrun_exporter.clock import (
    TURN,
    SystemClock,
    in_background,
    jittered_sleep,
)
from tests.fakes import ManualClock
from tests.patience import PATIENCE


class Adjusted(SystemClock):
    """The machine's clock, set back by an hour once it was asked so many times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def now(self) -> float:
        self.looks -= 1
        return super().now() - (3600.0 if self.looks < 0 else 0.0)


async def test_it_returns_when_the_time_has_come() -> None:
    clock = SystemClock()
    when = clock.now() + 0.01

    await clock.sleep_until(when)

    assert clock.now() >= when


async def test_it_returns_early_when_the_clock_is_set_back() -> None:
    """The sweeper would sleep for the hour; what it planned is to be planned anew."""
    clock = Adjusted(looks=2)

    async with asyncio.timeout(PATIENCE):
        await clock.sleep_until(clock.now() + 0.01)


async def test_the_clock_that_is_turned_by_hand_does_the_same() -> None:
    clock = ManualClock(10_000.0)
    sleeper = asyncio.create_task(clock.sleep_until(10_001.0))
    await asyncio.wait([sleeper], timeout=0)

    await clock.advance(-3600.0)

    assert sleeper.done()


async def test_threads_take_short_turns_while_something_long_is_computed() -> None:
    """A report that needs the interpreter ten times would wait 50 ms by default."""
    before = sys.getswitchinterval()

    async def nested() -> list[float]:
        inner = await asyncio.gather(
            in_background(sys.getswitchinterval), in_background(sys.getswitchinterval)
        )
        return [*inner, sys.getswitchinterval()]

    during = await nested()

    assert during[:2] == pytest.approx([TURN, TURN], rel=0.01)
    assert during[2] == sys.getswitchinterval() == before


async def test_pauses_of_several_processes_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise they would meet again each time; none is longer than was asked for."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(10):
        await jittered_sleep(0.5)

    assert all(0.25 <= pause <= 0.5 for pause in pauses)
    assert len(set(pauses)) > 1
