"""Handling of SIGTERM, SIGINT and SIGHUP."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from afterrun_exporter.errors import AfterRunError, StoppingError
from afterrun_exporter.server.health import Readiness, Reload

#: The maximum duration of a shutdown after a second signal, in seconds.
AT_ONCE: Final = 1.0

T = TypeVar("T")

log = structlog.get_logger()


class Signals:
    """Signals of the operator, which may arrive before startup has finished.

    A shutdown takes at most *patience* seconds; then the process exits immediately.
    All acknowledged reports are on disk.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        #: Set by a second stop signal: in-flight requests are aborted.
        self.stop_now = asyncio.Event()
        #: The reload function, set when startup is complete.
        self._up: asyncio.Future[Reload] = self._loop.create_future()
        self._reloads: set[asyncio.Task[None]] = set()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    async def until_stopped(self, reload: Reload) -> None:
        """Handle reload signals, including any received during startup, until SIGTERM or SIGINT."""
        self._up.set_result(reload)
        await self._stop.wait()

    async def unless_stopped(self, work: Coroutine[None, None, T]) -> T:
        """Return the result of *work*; cancel it and raise StoppingError at a stop."""
        task = self._loop.create_task(work)
        stop = self._loop.create_task(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise StoppingError("the daemon is stopping")
            return task.result()
        finally:
            for one in (task, stop):
                one.cancel()
            # Until it has cleaned up.
            await asyncio.wait({task, stop})

    async def linger(self, readiness: Readiness, seconds: float) -> None:
        """Report that the daemon is stopping, for *seconds* or until a second signal."""
        readiness.is_stopping = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stop_now.wait(), seconds)

    def stop(self) -> None:
        """Begin a shutdown, as SIGTERM does."""
        self._on_stop()

    def _on_stop(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            _end_within(self._patience)
        elif not self.stop_now.is_set():
            log.warning("stopping_at_once")
            self.stop_now.set()
            _end_within(min(AT_ONCE, self._patience))

    def _on_hangup(self) -> None:
        task = self._loop.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        reload = await self._up
        # The reload has logged it.
        with suppress(AfterRunError):
            await reload()


def _end_within(seconds: float) -> None:
    # In a thread, because the event loop may be blocked by a hanging disk.
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True
    timer.start()


def _end(seconds: float) -> None:
    log.error("stop_forced", after_seconds=seconds)
    os._exit(1)
