"""Calls with a timeout, for files that may hang: a FIFO, or a dead NFS server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

#: The timeout for a file while the daemon runs, in seconds.
TIMEOUT: Final = 10.0

#: The name of the threads.
THREAD: Final = "afterrun-read"

T = TypeVar("T")


class TimedCalls:
    """Calls functions in a daemon thread, one at a time, with a timeout."""

    def __init__(self, seconds: float = TIMEOUT) -> None:
        self.seconds = seconds
        self._one_at_a_time = asyncio.Lock()
        #: True while a call is running, also after its timeout.
        self.is_waiting = False

    async def __call__(
        self, function: Callable[..., T], *args: object, forever: bool = False
    ) -> T:
        """Return the result of a call, or raise its error.

        Raises TimeoutError if it takes too long, unless *forever* is true, and at once
        while an earlier call that timed out is still running.
        """
        async with self._one_at_a_time:
            if self.is_waiting:
                raise TimeoutError
            self.is_waiting = True
            future = self._start(function, *args)
            return await asyncio.wait_for(future, None if forever else self.seconds)

    def _start(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        future = Future[T]()
        future.set_running_or_notify_cancel()

        def work() -> None:
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001 - it is raised by the caller
                self.is_waiting = False
                future.set_exception(error)
            else:
                self.is_waiting = False
                future.set_result(result)

        threading.Thread(target=work, name=THREAD, daemon=True).start()
        return asyncio.wrap_future(future)
