"""SIGTERM, SIGINT and SIGHUP, as the daemon understands them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import suppress
from typing import Final

import structlog

from afterrun_exporter.errors import AfterRunError
from afterrun_exporter.server.health import Reload

#: Seconds that a stop may take after a second signal.
AT_ONCE: Final = 1.0

log = structlog.get_logger()


class Signals:
    """What the operator asks for, from before there is anything to stop or reload.

    A stop takes *patience* seconds at most: then the process ends, whatever it waits for.
    Everything that was acknowledged is on disk.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        #: Set by a second signal to stop: no request is waited for any longer.
        self.hurry = asyncio.Event()
        #: How to reload, once everything is up.
        self._up: asyncio.Future[Reload] = self._loop.create_future()
        self._reloads: set[asyncio.Task[None]] = set()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    async def until_stopped(self, reload: Reload) -> None:
        """Do what is asked for, also what was before, until that is to stop."""
        self._up.set_result(reload)
        await self._stop.wait()

    def _on_stop(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            _end_within(self._patience)
        elif not self.hurry.is_set():
            log.warning("stopping_at_once")
            self.hurry.set()
            _end_within(min(AT_ONCE, self._patience))

    def _on_hangup(self) -> None:
        task = self._loop.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        reload = await self._up
        # It is in the log, and there is nobody to answer.
        with suppress(AfterRunError):
            await reload()


def _end_within(seconds: float) -> None:
    # On a thread: the event loop may wait for a disk or a thread that hangs.
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True
    timer.start()


def _end(seconds: float) -> None:
    log.error("stop_forced", after_seconds=seconds)
    os._exit(1)
