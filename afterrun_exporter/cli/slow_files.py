"""Reading files that may never be read: a FIFO without a writer, or a dead NFS server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

#: Seconds that a file is waited for while the daemon runs.
PATIENCE: Final = 10.0

#: What the threads are called.
THREAD: Final = "afterrun-read"

T = TypeVar("T")


class Patience:
    """Calls functions on a thread that a stop does not wait for, one at a time."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self.seconds = seconds
        self._one_at_a_time = asyncio.Lock()
        #: True while a call goes on, be it waited for or not.
        self.is_waiting = False

    async def __call__(
        self, function: Callable[..., T], *args: object, forever: bool = False
    ) -> T:
        """Return the result of a call, or raise what it raises.

        Raises TimeoutError if that takes too long, unless it may take *forever*, and at
        once while an earlier call that took too long goes on.
        """
        async with self._one_at_a_time:
            if self.is_waiting:
                raise TimeoutError
            self.is_waiting = True
            future = self._start(function, *args)
            return await asyncio.wait_for(future, None if forever else self.seconds)

    def _start(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(result: T | None, error: BaseException | None) -> None:
            self.is_waiting = False
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result: T | None = None
            failure: BaseException | None = None
            try:
                result = function(*args)
            except BaseException as error:  # noqa: BLE001 - it is raised by the caller
                failure = error
            # The daemon may have stopped meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, result, failure)

        threading.Thread(target=work, name=THREAD, daemon=True).start()
        return future
