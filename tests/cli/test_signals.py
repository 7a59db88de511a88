"""Stops that announce themselves first."""

from __future__ import annotations

import asyncio

from afterrun_exporter.cli.signals import Signals
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.server.health import Readiness


async def test_a_stop_is_announced_before_it_waits() -> None:
    """A second signal ends the wait."""
    signals, readiness = Signals(60.0), Readiness()
    lingering = asyncio.create_task(signals.linger(readiness, 3600.0))
    await yield_to_loop()

    assert readiness.obstacle() == "it is stopping"
    assert not lingering.done()

    signals.stop_now.set()
    await lingering


async def test_a_stop_without_a_delay_is_announced_all_the_same() -> None:
    signals, readiness = Signals(60.0), Readiness()

    await signals.linger(readiness, 0.0)

    assert readiness.is_stopping
