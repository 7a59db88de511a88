"""SIGTERM, SIGINT and SIGHUP, as the daemon understands them."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from afterrun_exporter.errors import AfterRunError
from afterrun_exporter.web.health import Reload


class Signals:
    """What the operator asks for, from before there is anything to stop or reload."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        #: How to reload, once everything is up.
        self._up: asyncio.Future[Reload] = self._loop.create_future()
        self._reloads: set[asyncio.Task[None]] = set()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    async def until_stopped(self, reload: Reload) -> None:
        """Do what is asked for, also what was before, until that is to stop."""
        self._up.set_result(reload)
        await self._stop.wait()

    def _on_hangup(self) -> None:
        task = self._loop.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        reload = await self._up
        # It is in the log, and there is nobody to answer.
        with suppress(AfterRunError):
            await reload()
